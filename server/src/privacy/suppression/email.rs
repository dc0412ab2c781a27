//! An e-mail address as it is suppressed: wider than a login, since one person has many spellings.
//!
//! Not here: what stands around an address that was pasted (`auth/email`).

use super::{look, settled};

/// One form for all spellings; `None` where it is no address.
///
/// Of the name before the `@` neither case, dots nor what follows a `+` count, with every provider,
/// and letters that look alike are one. The domain is as IDNA writes it in ASCII: one that only
/// looks like it is another's.
pub(super) fn form(text: &str) -> Option<String> {
    let text = super::folded(text);
    let (local, domain) = text.rsplit_once('@')?;
    let domain = domain.trim().trim_end_matches('.');
    let domain = idna::domain_to_ascii(domain).ok().filter(|domain| !domain.is_empty())?;
    let local = look(local, |local| without_tag(&local));
    let is_name =
        !local.is_empty() && !local.contains(|char: char| char == '@' || char.is_control());
    is_name.then(|| format!("{local}@{domain}"))
}

/// Without the tag and the dots. Where nothing would be left, the name stays as it is.
fn without_tag(local: &str) -> String {
    settled(local, |local| {
        let name = local.split('+').next().unwrap_or_default();
        let name: String = name.chars().filter(|char| *char != '.').collect();
        if name.trim().is_empty() { local.to_owned() } else { name.trim().to_owned() }
    })
}
