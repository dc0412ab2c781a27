//! What visitors say before a conversation and show of the page they are on: redacted and bounded.

use std::borrow::Cow;
use std::sync::Arc;

use protocol::conversation::PageView;
use protocol::limits::ANSWER_BYTES_MAX;
use protocol::personal::Personal;
use protocol::reject::{Reject, RejectCode};
use protocol::visible;

use super::site::Site;
use crate::privacy::ingest::{aside, field, page_url};
use crate::store::FieldRule;

/// What is read of a page's title: what is kept of it, and the longest number that its end may cut.
const TITLE_BYTES_READ: usize = 4_096;

/// And of its address.
const URL_BYTES_READ: usize = 6_144;

/// What was answered to a field, as it is seen; nothing, if it was not.
pub(super) fn given<'f>(form: &[(&str, &'f str)], name: &str) -> Cow<'f, str> {
    let answer = form.iter().find(|(field, _)| *field == name);
    answer.map_or(Cow::Borrowed(""), |(_, text)| visible::name(text))
}

/// What an opening says, redacted and bounded.
pub(super) struct Masked {
    /// To what the site may ask for, where there is an answer.
    pub(super) answers: Vec<(String, Personal<String>)>,
    pub(super) page: Option<(Option<Personal<String>>, Personal<String>)>,
    /// The Organization may not take the e-mail address in again; it is left out of what is kept.
    pub(super) is_suppressed: bool,
}

impl Masked {
    /// `page`: where it began, unless none is to be kept.
    pub(super) async fn of(
        site: &Arc<Site>,
        form: &[(&str, &str)],
        page: Option<&PageView>,
    ) -> Result<Self, Reject> {
        let mut answers = Vec::new();
        for name in site.row.settings.form.keys() {
            let given = given(form, name);
            if !given.is_empty() {
                answers.push((name.clone(), masked_answer(site, &given).await?));
            }
        }
        let page = match page {
            Some(page) => Some(checked_page(site, page).await?),
            None => None,
        };
        Ok(Self { answers, page, is_suppressed: false })
    }

    pub(super) fn answer(&self, name: &str) -> Option<&Personal<String>> {
        self.answers.iter().find(|(field, _)| field == name).map(|(_, answer)| answer)
    }
}

/// The form as it is kept: what the site requires must be there, what it does not ask for is left
/// out.
pub(super) fn checked_form(
    site: &Site,
    mut answers: Vec<(String, Personal<String>)>,
) -> Result<Vec<(String, Personal<String>)>, Reject> {
    let form = &site.row.settings.form;
    let missing = form.iter().find(|(name, rule)| {
        **rule == FieldRule::Required && answers.iter().all(|(given, _)| given != *name)
    });
    if let Some((name, _)) = missing {
        let words = format!("form: the field `{name}` must be filled in");
        return Err(Reject::new(RejectCode::Invalid, words));
    }
    answers.retain(|(name, _)| form.get(name) != Some(&FieldRule::Hidden));
    Ok(answers)
}

/// An answer of the form, redacted and bounded.
async fn masked_answer(site: &Arc<Site>, given: &str) -> Result<Personal<String>, Reject> {
    // One that is too long is refused before anything is looked for in it.
    if given.len() > ANSWER_BYTES_MAX || !site.redactor()?.takes_long(given) {
        return field("form", given, ANSWER_BYTES_MAX, site.redactor()?);
    }
    let given = given.to_owned();
    site.mask(move |site| field("form", &given, ANSWER_BYTES_MAX, site.redactor()?)).await
}

/// A page's address without its query, where it has one of the web, and its title. Refused only
/// where the site's masks cannot be used.
pub(super) async fn checked_page(
    site: &Arc<Site>,
    page: &PageView,
) -> Result<(Option<Personal<String>>, Personal<String>), Reject> {
    let title = page.title.as_ref().map_or("", |title| title.expose());
    let title = title.get(..title.floor_char_boundary(TITLE_BYTES_READ)).unwrap_or_default();
    let title = visible::name(title).into_owned();
    let url = page.url.expose();
    let url = url.get(..url.floor_char_boundary(URL_BYTES_READ)).unwrap_or_default().to_owned();
    let redactor = site.redactor()?;
    let takes_long = redactor.takes_long(&title) || redactor.takes_long(&url);
    let work = move |site: &Site| {
        let redactor = site.redactor()?;
        Ok((page_url(&url, redactor), aside(&title, ANSWER_BYTES_MAX, redactor)))
    };
    if takes_long { site.mask(work).await } else { work(site) }
}
