//! One spelling for an e-mail address.

use protocol::personal::Personal;

/// Longest address that mail can carry (RFC 5321, 4.5.3.1.3, without its brackets).
const EMAIL_BYTES_MAX: usize = 254;

/// Text that is no e-mail address. Says nothing about the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an e-mail address")]
pub struct EmailError;

/// Trims and lower-cases an address, as it is compared and found.
///
/// # Errors
/// If it is not of the form `name@domain`, or longer than mail can carry.
pub fn normal_email(text: &str) -> Result<Personal<String>, EmailError> {
    let text = text.trim();
    let (local, domain) = text.rsplit_once('@').ok_or(EmailError)?;
    let plain = |part: &str| {
        !part.is_empty() && !part.chars().any(|c| c.is_whitespace() || c.is_control() || c == '@')
    };
    let labels = domain
        .split('.')
        .all(|label| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-'));
    if text.len() > EMAIL_BYTES_MAX || !plain(local) || !plain(domain) || !labels {
        return Err(EmailError);
    }
    Ok(Personal::new(text.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_spelling() {
        let normal = |text| normal_email(text).map(Personal::into_exposed);
        assert_eq!(normal(" Ada@Example.TEST ").as_deref(), Ok("ada@example.test"));
        for wrong in ["", "ada", "@example.test", "ada@", "a b@example.test", "a@b@c", "a@b..c"] {
            assert_eq!(normal(wrong), Err(EmailError), "{wrong}");
        }
        assert_eq!(normal(&format!("{}@example.test", "a".repeat(250))), Err(EmailError));
    }
}
