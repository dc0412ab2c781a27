//! What a process manager tells the process that it starts.

use std::ffi::OsString;
use std::time::Duration;

/// Where systemd puts a unit's credentials (systemd.exec(5)).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// As a setting's path names that folder.
const CREDENTIALS_PREFIX: &str = "${CREDENTIALS_DIRECTORY}/";

/// What systemd, or whatever speaks like it, wants to hear (sd_notify(3), sd_watchdog_enabled(3)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The socket that hears of readiness: a path, or `@` and an abstract name.
    pub notify_socket: Option<OsString>,
    /// Silence after which the process is taken for dead.
    pub watchdog: Option<Duration>,
}

impl Surroundings {
    /// Of this process.
    pub fn from_environment() -> Self {
        Self::of(&std::env::vars_os().collect::<Vec<_>>(), std::process::id())
    }

    fn of(variables: &[(OsString, OsString)], pid: u32) -> Self {
        let text = |name: &str| {
            let found = variables.iter().find(|(known, _)| known == name);
            found.map(|(_, text)| text.clone()).filter(|text| !text.is_empty())
        };
        let number = |name: &str| text(name)?.to_str()?.parse::<u64>().ok();
        // Inherited from a parent that the watchdog is for.
        let is_for_us = number("WATCHDOG_PID").is_none_or(|of| of == u64::from(pid));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| *usec > 0 && is_for_us);
        Self { notify_socket: text("NOTIFY_SOCKET"), watchdog: watchdog.map(Duration::from_micros) }
    }
}

/// A path with the folder of the credentials in the place of its name.
///
/// # Errors
/// If there is no such folder, or the name leaves it.
pub(super) fn credential(
    path: &str,
    variables: &[(OsString, OsString)],
) -> Result<String, &'static str> {
    let Some(name) = path.trim().strip_prefix(CREDENTIALS_PREFIX) else {
        return Ok(path.to_owned());
    };
    if name.is_empty() || name.split('/').any(|part| part == "..") {
        return Err("expected the name of a credential after ${CREDENTIALS_DIRECTORY}/");
    }
    let folder = variables.iter().find(|(known, _)| known == CREDENTIALS);
    let folder = folder.and_then(|(_, folder)| folder.to_str()).filter(|text| !text.is_empty());
    folder.map(|folder| format!("{}/{name}", folder.trim_end_matches('/'))).ok_or(
        "CREDENTIALS_DIRECTORY is not set: the unit names the file with LoadCredential=, and only the unit's own processes see it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(all: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        all.iter().map(|(name, text)| (OsString::from(name), OsString::from(text))).collect()
    }

    #[test]
    fn a_watchdog_of_another_process_is_none() {
        let of = |pid: &str| {
            let told =
                variables(&[("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", pid), ("PATH", "/bin")]);
            Surroundings::of(&told, 7).watchdog
        };
        assert_eq!((of("7"), of("8")), (Some(Duration::from_secs(3)), None));
        let unnamed = Surroundings::of(&variables(&[("WATCHDOG_USEC", "1")]), 7);
        assert_eq!(unnamed.watchdog, Some(Duration::from_micros(1)));
        let none =
            Surroundings::of(&variables(&[("WATCHDOG_USEC", "0"), ("NOTIFY_SOCKET", "")]), 7);
        assert_eq!(none, Surroundings::default());
    }

    #[test]
    fn a_credential_is_found_where_the_unit_has_it_and_nowhere_else() {
        let told = variables(&[(CREDENTIALS, "/run/credentials/livehelp.service/")]);
        let found = credential("${CREDENTIALS_DIRECTORY}/tls.key", &told);
        assert_eq!(found.as_deref(), Ok("/run/credentials/livehelp.service/tls.key"));
        assert_eq!(credential("/etc/key.pem", &[]).as_deref(), Ok("/etc/key.pem"));
        assert!(credential("${CREDENTIALS_DIRECTORY}/tls.key", &[]).is_err());
        for name in ["", "../x", "a/../../x"] {
            assert!(credential(&format!("{CREDENTIALS_PREFIX}{name}"), &told).is_err(), "{name}");
        }
    }
}
