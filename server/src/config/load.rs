//! The three sources, weakest first: a TOML file, `LIVEHELP_…` variables, flags.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use toml::de::{DeTable, DeValue};

use super::foreign::{self, Owner};
use super::place::Place;
use super::surroundings::credential;
use super::value::{Setting, without_password};
use super::{Config, SETTINGS};

/// What every variable of ours begins with.
const PREFIX: &str = "LIVEHELP_";

/// Variable and flag that name the file; no setting, since a file cannot name itself.
const FILE_VARIABLE: &str = "LIVEHELP_CONFIG";

/// Bytes of a settings file; every setting with a long path fits many times over.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Bytes of the first line of a file with a secret; longer than any.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Stands for standard input where a file with a secret is asked for.
const STANDARD_INPUT: &str = "-";

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

impl Origin {
    /// Whether it was said on the command line.
    pub fn is_flag(&self) -> bool {
        matches!(self, Self::Flag(_))
    }

    /// The higher, the stronger.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File(_) => 1,
            Self::Variable(_) => 2,
            Self::Flag(_) => 3,
        }
    }
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
    /// The settings file that was read, if any.
    pub file: Option<PathBuf>,
    /// What was left alone and may surprise: one sentence each, without values.
    pub warnings: Vec<String>,
    texts: BTreeMap<&'static str, (String, Origin)>,
    sources: Sources,
    /// What was read there. It can be read once only.
    standard_input: Option<SecretString>,
}

impl Resolved {
    /// Reads the same sources once more.
    ///
    /// # Errors
    /// As [`load`].
    pub fn again(&self) -> Result<Self, ConfigError> {
        read(&self.sources, self.standard_input.clone())
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
        Self {
            config,
            file: newer.file.clone(),
            warnings: newer.warnings.clone(),
            texts,
            sources: self.sources.clone(),
            standard_input: self.standard_input.clone(),
        }
    }

    /// Name, value as it may be shown, and origin of every setting.
    pub fn shown(&self) -> impl Iterator<Item = (&'static str, String, String)> {
        SETTINGS.iter().map(|setting| {
            let (text, origin) = text_of(&self.texts, setting);
            (setting.name, without_password(&text), origin.to_string())
        })
    }

    /// Where the value of a setting came from.
    pub fn origin(&self, name: &str) -> Origin {
        self.texts.get(name).map_or(Origin::Default, |(_, origin)| origin.clone())
    }
}

/// Reads and checks all settings.
///
/// # Errors
/// Everything that is wrong, at once: unknown settings with the nearest known name, bad values with
/// source and what was expected, settings that do not go together.
pub fn load(sources: &Sources) -> Result<Resolved, ConfigError> {
    read(sources, None)
}

fn read(sources: &Sources, standard_input: Option<SecretString>) -> Result<Resolved, ConfigError> {
    let surroundings = sources.variables.clone();
    let mut reading = Reading { surroundings, standard_input, ..Reading::default() };
    let variables = reading.variables(sources);
    let file = sources.file.clone().or_else(|| {
        let named = variables.iter().find(|(name, _)| *name == FILE_VARIABLE);
        named.map(|(_, path)| PathBuf::from(path))
    });
    if let Some(path) = &file {
        reading.file(path);
    }
    for (variable, text) in variables.iter().filter(|(name, _)| *name != FILE_VARIABLE) {
        let name = variable.strip_prefix(PREFIX).unwrap_or(variable).to_lowercase();
        reading.take(&name, text.clone(), Origin::Variable((*variable).to_owned()), None);
    }
    for (name, text) in &sources.flags {
        reading.take(name, text.clone(), Origin::Flag(name.replace('_', "-")), None);
    }
    let Reading { mut texts, places, mut complaints, warnings, standard_input, .. } = reading;
    for setting in SETTINGS.iter().filter(|setting| setting.path) {
        let Some((text, origin)) = texts.get_mut(setting.name) else { continue };
        match credential(text, &sources.variables) {
            Ok(path) => *text = path,
            Err(words) => complaints.push(format!("`{}` ({origin}): {words}", setting.name)),
        }
    }
    let config = Config::read(&mut |setting| text_of(&texts, setting).0, &mut |setting| {
        let (text, origin) = text_of(&texts, setting);
        let place = places.get(setting.name).filter(|_| matches!(origin, Origin::File(_)));
        complaints.push(format!(
            "`{}` = {:?} ({}): expected {}{}",
            setting.name,
            without_password(&text),
            at(&origin, place),
            setting.expected(),
            place.map_or("", |place| &place.drawn),
        ));
    });
    if let Some(config) = &config {
        complaints.extend(config.complaints());
    }
    match config {
        Some(config) if complaints.is_empty() => {
            let sources = sources.clone();
            Ok(Resolved { config, file, warnings, texts, sources, standard_input })
        }
        Some(_) | None => Err(ConfigError { complaints }),
    }
}

/// An origin, with the line where it is the file.
fn at(origin: &Origin, place: Option<&Place>) -> String {
    place.map_or_else(|| origin.to_string(), |place| format!("{origin}, {}", place.words()))
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

/// What was read so far, source by source.
#[derive(Default)]
struct Reading {
    texts: BTreeMap<&'static str, (String, Origin)>,
    /// Where the file sets what it sets.
    places: BTreeMap<&'static str, Place>,
    complaints: Vec<String>,
    warnings: Vec<String>,
    /// All variables, which name the folder of credentials.
    surroundings: Vec<(OsString, OsString)>,
    standard_input: Option<SecretString>,
}

impl Reading {
    /// A secret out of its file, or what standard input said the first time.
    fn secret(&mut self, path: &Path) -> std::io::Result<SecretString> {
        if path.as_os_str() != OsStr::new(STANDARD_INPUT) {
            return read_secret(path);
        }
        if let Some(said) = &self.standard_input {
            return Ok(said.clone());
        }
        let said = read_secret(path)?;
        self.standard_input = Some(said.clone());
        Ok(said)
    }

    /// The variables that are ours. What others set in our name is told and left alone; what is
    /// nearly ours is kept, and refused later as unknown.
    fn variables<'s>(&mut self, sources: &'s Sources) -> Vec<(&'s str, String)> {
        let mut ours = Vec::new();
        let mut foreign: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
        for (variable, text) in &sources.variables {
            let Some((variable, name)) =
                variable.to_str().and_then(|all| Some((all, all.strip_prefix(PREFIX)?)))
            else {
                continue;
            };
            let name = name.to_lowercase();
            let is_known = variable == FILE_VARIABLE || known(&name).is_some();
            let shown = text.to_string_lossy();
            let owner = match is_known {
                true => foreign::is_kubernetes(&name, &shown).then_some(Owner::Kubernetes),
                false => foreign::owner(&name, &shown),
            };
            match (owner, text.to_str()) {
                (Some(owner), _) => {
                    foreign.entry(owner).or_default().insert(variable);
                }
                (None, Some(text)) => ours.push((variable, text.to_owned())),
                (None, None) => {
                    self.complaints.push(format!("variable {variable}: its value is not UTF-8"));
                }
            }
        }
        ours.sort();
        for (owner, names) in foreign {
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            let whose = match owner {
                Owner::Kubernetes => {
                    "set by Kubernetes for a Service of that name (`enableServiceLinks: false` in the pod ends it)"
                }
                Owner::Ours => "read by livehelp-load or by tests, not by this program",
                Owner::Stranger => "no settings of livehelp; docs/configuration.md lists those",
            };
            self.warnings.push(format!("left alone: {names}: {whose}"));
        }
        ours
    }

    fn file(&mut self, path: &Path) {
        let shown = path.display();
        match std::fs::metadata(path) {
            Ok(about) if about.len() > FILE_BYTES_MAX => {
                let words = format!("file {shown}: larger than {FILE_BYTES_MAX} bytes");
                return self.complaints.push(words);
            }
            Ok(_) | Err(_) => {}
        }
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let words = format!("file {shown}: cannot be read: {error}");
                return self.complaints.push(words);
            }
        };
        // Twice: the first knows values, the second knows where they stand.
        let read =
            text.parse::<toml::Table>().and_then(|table| Ok((table, DeTable::parse(&text)?)));
        let (table, placed) = match read {
            Ok(read) => read,
            Err(error) => {
                let place = error.span().map(|span| Place::of(&text, &span));
                let (words, drawn) =
                    place.map_or_else(Default::default, |p| (format!(", {}", p.words()), p.drawn));
                let what = error.message();
                let words = format!("file {shown}{words}: is not TOML: {what}{drawn}");
                return self.complaints.push(words);
            }
        };
        for (key, value) in placed.get_ref() {
            let name: &str = key.get_ref();
            let place = Place::of(&text, &key.span());
            if matches!(value.get_ref(), DeValue::Table(_)) {
                self.complaints.push(format!(
                    "file {shown}, {}: [{name}]: settings stand without tables{}",
                    place.words(),
                    place.drawn
                ));
                continue;
            }
            let Some(value_text) = table.get(name).map(text_in_file) else { continue };
            let of_value = Place::of(&text, &value.span());
            let place = if known(name).is_some() { of_value } else { place };
            self.take(name, value_text, Origin::File(path.to_owned()), Some(place));
        }
    }

    fn take(&mut self, name: &str, text: String, origin: Origin, place: Option<Place>) {
        let Some(setting) = known(name) else {
            let (words, drawn) =
                (at(&origin, place.as_ref()), place.map_or_else(String::new, |p| p.drawn));
            let mut guess = String::new();
            if let Some(setting) = nearest(name) {
                guess = format!("; did you mean `{}`?", setting.name);
                if matches!(origin, Origin::Variable(_)) {
                    guess.push_str(&format!(" Its variable is {}", setting.variable()));
                }
            }
            return self
                .complaints
                .push(format!("unknown setting `{name}` ({words}){guess}{drawn}"));
        };
        let text = if setting.name == name {
            text
        } else {
            let path = credential(&text, &self.surroundings);
            let read = path.map_err(ToOwned::to_owned).and_then(|path| {
                let read = self.secret(Path::new(&path));
                read.map_err(|error| format!("cannot be read: {error}"))
            });
            match read {
                Ok(secret) => secret.expose_secret().to_owned(),
                Err(why) => {
                    let words = at(&origin, place.as_ref());
                    return self.complaints.push(format!(
                        "`{name}` = {:?} ({words}): {why}",
                        without_password(&text)
                    ));
                }
            }
        };
        if setting.secret
            && let Some((_, former)) = self.texts.get(setting.name)
            && former.rank() == origin.rank()
        {
            self.complaints.push(format!(
                "`{}` and `{}_file` say the same thing ({former}; {origin}): give one of them",
                setting.name, setting.name
            ));
        }
        self.texts.insert(setting.name, (text, origin));
        match place {
            Some(place) => self.places.insert(setting.name, place),
            None => self.places.remove(setting.name),
        };
    }
}

/// The setting that has this name, or whose value a file of this name holds.
fn known(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| {
        setting.name == name || setting.name_of_file().is_some_and(|of_file| of_file == name)
    })
}

/// The first line of a file, which may be a pipe; `-` is standard input, of which the next line is
/// left for whoever asks after.
///
/// # Errors
/// If it cannot be read.
pub fn read_secret(path: &Path) -> std::io::Result<SecretString> {
    let mut line = String::new();
    if path.as_os_str() == OsStr::new(STANDARD_INPUT) {
        std::io::stdin().lock().take(SECRET_BYTES_MAX).read_line(&mut line)?;
    } else {
        std::fs::File::open(path)
            .and_then(|file| BufReader::new(file).take(SECRET_BYTES_MAX).read_line(&mut line))?;
    }
    let ended = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(ended);
    Ok(SecretString::from(line))
}

/// A value of the file as a variable would have it.
fn text_in_file(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Boolean(flag) => flag.to_string(),
        toml::Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map_or_else(|| item.to_string(), ToOwned::to_owned))
            .collect::<Vec<_>>()
            .join(","),
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => {
            value.to_string()
        }
    }
}

/// A guess at what was meant, where one is near enough to help.
fn nearest(name: &str) -> Option<&'static Setting> {
    foreign::meant(name).or_else(|| {
        SETTINGS
            .iter()
            .map(|setting| (strsim::jaro_winkler(name, setting.name), setting))
            .filter(|(likeness, _)| *likeness > 0.7)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, setting)| setting)
    })
}
