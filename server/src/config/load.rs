//! The three sources, weakest first: a TOML file, `LIVEHELP_…` variables, flags.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use super::surroundings::credential;
use super::value::{Setting, without_password};
use super::{Config, SETTINGS};

/// Variable and flag that name the file; no setting, since a file cannot name itself.
const FILE_VARIABLE: &str = "LIVEHELP_CONFIG";

/// Bytes of a settings file; every setting with a long path fits many times over.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// What settings are read from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file that `--config` names.
    pub file: Option<PathBuf>,
    /// The environment.
    pub variables: Vec<(OsString, OsString)>,
    /// Names of settings with the text given by their flags.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// The process's environment; the one reader of it.
    pub fn from_environment(file: Option<PathBuf>, flags: Vec<(String, String)>) -> Self {
        Self { file, variables: std::env::vars_os().collect(), flags }
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A settings file.
    File(PathBuf),
    /// A variable.
    Variable(String),
    /// A flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

/// Why the settings cannot be used. Each line says what to change.
#[derive(Debug, thiserror::Error)]
#[error("{}", complaints.join("\n"))]
pub struct ConfigError {
    /// One sentence each.
    pub complaints: Vec<String>,
}

/// Settings in force, each with its origin.
#[derive(Debug)]
pub struct Resolved {
    /// The values.
    pub config: Config,
    texts: BTreeMap<&'static str, (String, Origin)>,
    sources: Sources,
}

impl Resolved {
    /// Reads the same sources once more.
    ///
    /// # Errors
    /// As [`load`].
    pub fn again(&self) -> Result<Self, ConfigError> {
        load(&self.sources)
    }

    /// The settings whose text is another than in `other`.
    pub fn differs_from(&self, other: &Self) -> Vec<&'static Setting> {
        let text = |resolved: &Self, setting| text_of(&resolved.texts, setting).0;
        SETTINGS.iter().filter(|setting| text(self, setting) != text(other, setting)).collect()
    }

    /// These settings, with what `newer` says of those that a reload puts in force.
    pub fn reloaded(&self, newer: &Self) -> Self {
        let mut texts = self.texts.clone();
        for setting in SETTINGS.iter().filter(|setting| setting.is_reloaded()) {
            match newer.texts.get(setting.name) {
                Some(text) => texts.insert(setting.name, text.clone()),
                None => texts.remove(setting.name),
            };
        }
        let config = self.config.reloaded(&newer.config);
        Self { config, texts, sources: self.sources.clone() }
    }

    /// Name, value as it may be shown, and origin of every setting.
    pub fn shown(&self) -> impl Iterator<Item = (&'static str, String, String)> {
        SETTINGS.iter().map(|setting| {
            let (text, origin) = text_of(&self.texts, setting);
            (setting.name, without_password(&text), origin.to_string())
        })
    }
}

/// Reads and checks all settings.
///
/// # Errors
/// Everything that is wrong, at once: unknown settings with the nearest known name, bad values with
/// source and what was expected, settings that do not go together.
pub fn load(sources: &Sources) -> Result<Resolved, ConfigError> {
    let mut complaints = Vec::new();
    let mut texts = BTreeMap::new();
    let variables = variables(sources, &mut complaints);
    let file = sources.file.clone().or_else(|| variables.get(FILE_VARIABLE).map(PathBuf::from));
    if let Some(path) = file {
        read_file(&path, &mut texts, &mut complaints);
    }
    for (variable, text) in variables {
        let Some(name) = variable.strip_prefix("LIVEHELP_").filter(|_| variable != FILE_VARIABLE)
        else {
            continue;
        };
        let origin = Origin::Variable(variable.clone());
        take(&name.to_lowercase(), text, origin, &mut texts, &mut complaints);
    }
    for (name, text) in &sources.flags {
        let origin = Origin::Flag(name.replace('_', "-"));
        take(name, text.clone(), origin, &mut texts, &mut complaints);
    }
    for setting in SETTINGS.iter().filter(|setting| setting.path) {
        let Some((text, origin)) = texts.get_mut(setting.name) else { continue };
        match credential(text, &sources.variables) {
            Ok(path) => *text = path,
            Err(words) => complaints.push(format!("`{}` ({origin}): {words}", setting.name)),
        }
    }
    let config = Config::read(&mut |setting| text_of(&texts, setting).0, &mut |setting| {
        let (text, origin) = text_of(&texts, setting);
        complaints.push(format!(
            "`{}` = {:?} ({origin}): expected {}",
            setting.name,
            without_password(&text),
            setting.expected()
        ));
    });
    if let Some(config) = &config {
        complaints.extend(config.complaints());
    }
    match config {
        Some(config) if complaints.is_empty() => {
            Ok(Resolved { config, texts, sources: sources.clone() })
        }
        Some(_) | None => Err(ConfigError { complaints }),
    }
}

fn text_of(
    texts: &BTreeMap<&'static str, (String, Origin)>,
    setting: &Setting,
) -> (String, Origin) {
    texts
        .get(setting.name)
        .cloned()
        .unwrap_or_else(|| (setting.default.to_owned(), Origin::Default))
}

fn variables(sources: &Sources, complaints: &mut Vec<String>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (name, text) in &sources.variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with("LIVEHELP_")) else {
            continue;
        };
        match text.to_str() {
            Some(text) => {
                found.insert(name.to_owned(), text.to_owned());
            }
            None => complaints.push(format!("variable {name}: its value is not UTF-8")),
        }
    }
    found
}

fn read_file(
    path: &PathBuf,
    texts: &mut BTreeMap<&'static str, (String, Origin)>,
    complaints: &mut Vec<String>,
) {
    let shown = path.display();
    match std::fs::metadata(path) {
        Ok(about) if about.len() > FILE_BYTES_MAX => {
            complaints.push(format!("file {shown}: larger than {FILE_BYTES_MAX} bytes"));
            return;
        }
        Ok(_) | Err(_) => {}
    }
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return complaints.push(format!("file {shown}: cannot be read: {error}")),
    };
    let table = match text.parse::<toml::Table>() {
        Ok(table) => table,
        // Only the sentence: the parser's drawing would repeat the line, which may hold a secret.
        Err(error) => {
            return complaints.push(format!("file {shown}: is not TOML: {}", error.message()));
        }
    };
    for (name, value) in table {
        let text = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            toml::Value::Array(items) => items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), ToOwned::to_owned))
                .collect::<Vec<_>>()
                .join(","),
            toml::Value::Float(_) | toml::Value::Datetime(_) => value.to_string(),
            toml::Value::Table(_) => {
                complaints.push(format!("file {shown}: [{name}]: settings stand without tables"));
                continue;
            }
        };
        take(&name, text, Origin::File(path.clone()), texts, complaints);
    }
}

fn take(
    name: &str,
    text: String,
    origin: Origin,
    texts: &mut BTreeMap<&'static str, (String, Origin)>,
    complaints: &mut Vec<String>,
) {
    match SETTINGS.iter().find(|setting| setting.name == name) {
        Some(setting) => {
            texts.insert(setting.name, (text, origin));
        }
        None => complaints.push(format!("unknown setting `{name}` ({origin}){}", nearest(name))),
    }
}

/// A guess at what was meant, where one is near enough to help.
pub(super) fn nearest(name: &str) -> String {
    SETTINGS
        .iter()
        .map(|setting| (strsim::jaro_winkler(name, setting.name), setting.name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(String::new, |(_, known)| format!("; did you mean `{known}`?"))
}
