//! One spelling for an e-mail address.

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use percent_encoding::percent_decode_str;
use protocol::personal::Personal;
use protocol::visible;

/// Longest address that mail can carry (RFC 5321, 4.5.3.1.3, without its brackets).
pub const EMAIL_BYTES_MAX: usize = 254;

/// Bytes that are looked at: an address as a `mailto:` link, percent-encoded, with a subject.
const GIVEN_BYTES_MAX: usize = 4 * 1024;

/// Text that is no e-mail address. Says nothing about the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an e-mail address")]
pub struct EmailError;

/// The one spelling of an address, as it is compared and found: no invisible character,
/// compatibility forms folded (NFKC), lower case, the domain in Unicode as IDNA writes it. Takes
/// what people paste as well: a `mailto:` link, an address in angle brackets behind its name, a
/// comma behind it, a dot at the domain's end.
///
/// # Errors
/// If it is not of the form `name@domain`, or longer than mail can carry.
pub fn normal_email(text: &str) -> Result<Personal<String>, EmailError> {
    let address = bare_address(text)?;
    let (local, domain) = address.rsplit_once('@').ok_or(EmailError)?;
    let odd = |c: char| c.is_whitespace() || c.is_control() || r"@<>(),:;[]\".contains(c);
    if local.is_empty() || local.chars().any(odd) {
        return Err(EmailError);
    }
    let email = format!("{}@{}", folded(&local.to_lowercase()), normal_domain(domain)?);
    if email.len() > EMAIL_BYTES_MAX {
        return Err(EmailError);
    }
    Ok(Personal::new(email))
}

/// The spellings under which an account with this address may be kept: the normal one first, then
/// those of releases that only trimmed and lower-cased what was typed.
///
/// # Errors
/// As [`normal_email`].
pub fn email_spellings(text: &str) -> Result<Vec<Personal<String>>, EmailError> {
    let normal = normal_email(text)?;
    let typed = text.trim().to_lowercase();
    let in_ascii = normal.expose().rsplit_once('@').and_then(|(local, domain)| {
        let domain = idna::domain_to_ascii(domain).ok()?;
        Some(format!("{local}@{domain}"))
    });
    let decomposed =
        DecomposingNormalizerBorrowed::new_nfd().normalize(normal.expose()).into_owned();
    let mut spellings = vec![normal];
    for former in [Some(typed), in_ascii, Some(decomposed)].into_iter().flatten() {
        if former.len() <= EMAIL_BYTES_MAX
            && spellings.iter().all(|known| *known.expose() != former)
        {
            spellings.push(Personal::new(former));
        }
    }
    Ok(spellings)
}

/// The address out of what was typed or pasted.
fn bare_address(text: &str) -> Result<String, EmailError> {
    if text.len() > GIVEN_BYTES_MAX {
        return Err(EmailError);
    }
    let shown = folded(&visible::name(text));
    let address = without_name(&shown);
    let Some(link) = without_scheme(address) else { return Ok(address.to_owned()) };
    let path = link.split('?').next().unwrap_or_default();
    let decoded = percent_decode_str(path).decode_utf8().map_err(|_| EmailError)?;
    Ok(without_name(&folded(&visible::name(&decoded))).to_owned())
}

/// What stands in the angle brackets, if there are some: a mail program copies the name with the
/// address (RFC 5322, 3.4). What parts the addresses of a list may follow.
fn without_name(text: &str) -> &str {
    let parts = |char: char| char.is_whitespace() || matches!(char, ',' | ';');
    let address = text.trim_end_matches(parts).trim_start();
    let Some(inside) = address.strip_suffix('>') else { return address };
    match inside.rsplit_once('<') {
        // Two addresses are none.
        Some((name, inside)) if !name.contains('@') => inside.trim(),
        _ => address,
    }
}

/// Compatibility forms as the letters they stand for: an address typed in full width is the same
/// address.
fn folded(text: &str) -> String {
    ComposingNormalizerBorrowed::new_nfkc().normalize(text).into_owned()
}

/// What follows `mailto:`, in any case (RFC 6068).
fn without_scheme(address: &str) -> Option<&str> {
    let (scheme, rest) = address.split_once(':')?;
    scheme.trim().eq_ignore_ascii_case("mailto").then_some(rest)
}

fn normal_domain(domain: &str) -> Result<String, EmailError> {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let (domain, judged) = idna::domain_to_unicode(domain);
    judged.map_err(|_| EmailError)?;
    // What is beyond ASCII was judged by IDNA.
    let plain = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || c == '-';
    let label = |label: &str| !label.is_empty() && label.chars().all(plain);
    if domain.split('.').all(label) { Ok(domain) } else { Err(EmailError) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> Result<String, EmailError> {
        normal_email(text).map(Personal::into_exposed)
    }

    #[test]
    fn an_address_has_one_spelling() {
        let ada = Ok("ada@example.test".to_owned());
        for same in [
            "ada@example.test",
            " Ada@Example.TEST ",
            "mailto:ada@example.test",
            "MailTo:Ada@Example.Test?subject=Hello%20there",
            "mailto:ada%40example.test",
            "<ada@example.test>",
            "Ada Lovelace <ada@example.test>",
            "\"Lovelace, Ada\" <mailto:Ada@example.test>,",
            "mailto:<ada@example.test>",
            "ada@example.test; ",
            " < ada@example.test > ",
            "ada@example.test.",
            "\u{200b}ada@example.test\u{feff}",
            "a\u{ad}da@exam\u{200d}ple.test",
            "\u{202a}ada@example.test\u{202c}",
            "\u{a0}ada@example.test\u{3000}",
            "\u{ff41}da\u{ff20}example\u{3002}test",
        ] {
            assert_eq!(normal(same), ada, "{same:?}");
        }
        let umlaut = Ok("bj\u{f6}rn@m\u{fc}ller.example".to_owned());
        for same in [
            "bj\u{f6}rn@m\u{fc}ller.example",
            "bjo\u{308}rn@mu\u{308}ller.example",
            "BJ\u{d6}RN@M\u{dc}LLER.example",
            "bj\u{f6}rn@xn--mller-kva.example",
            "bj\u{f6}rn@XN--MLLER-KVA.Example.",
            "mailto:bj%C3%B6rn@m%C3%BCller.example",
        ] {
            assert_eq!(normal(same), umlaut, "{same:?}");
        }
        assert_eq!(normal("a+b@example.test"), Ok("a+b@example.test".to_owned()));
        assert!(normal("x@\u{939}\u{93f}\u{928}\u{94d}\u{926}\u{940}.example").is_ok());
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for wrong in [
            "",
            "ada",
            "@example.test",
            "ada@",
            "a b@example.test",
            "a@b@c",
            "a@b..c",
            "\u{200b}@example.test",
            "ada@\u{200b}",
            "mailto:",
            "mailto:ada",
            "https:ada@example.test",
            "ada@exa mple.test",
            "ada@[192.0.2.1]",
            "ada@xn--a.example",
            "bob@example.test <ada@example.test>",
            "Ada <>",
            "Ada <ada@example.test",
            "ada@example.test, bob@example.test",
            "mailto:ada@example.test,bob@example.test",
            "mailto:%FF@example.test",
        ] {
            assert_eq!(normal(wrong), Err(EmailError), "{wrong:?}");
        }
        assert_eq!(normal(&format!("{}@example.test", "a".repeat(250))), Err(EmailError));
        assert_eq!(normal(&format!("ada@example.test{}", " ".repeat(5_000))), Err(EmailError));
    }

    #[test]
    fn an_account_is_looked_for_under_the_spellings_of_before() {
        let spellings = |text: &str| -> Vec<String> {
            email_spellings(text).unwrap().into_iter().map(Personal::into_exposed).collect()
        };
        assert_eq!(spellings(" Ada@example.test"), ["ada@example.test"]);
        let all = spellings("bj\u{f6}rn@m\u{fc}ller.example");
        for kept in [
            "bj\u{f6}rn@m\u{fc}ller.example",
            "bj\u{f6}rn@xn--mller-kva.example",
            "bjo\u{308}rn@mu\u{308}ller.example",
        ] {
            assert!(all.iter().any(|spelling| spelling == kept), "{kept:?}");
        }
        assert_eq!(spellings("mailto:ada@example.test")[1], "mailto:ada@example.test");
    }
}
