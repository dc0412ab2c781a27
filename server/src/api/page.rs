//! Pages of lists: how many, from where, and what comes next.

use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::problem::{Problem, ProblemCode};
use crate::store::Page;

/// Items of a page where the caller names no number.
const LIMIT_DEFAULT: u16 = 50;

/// Items of a page, at most.
pub(crate) const LIMIT_MAX: u16 = 100;

/// Which page of a list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    /// Items, 1 to 100; 50 where it is not given.
    pub(crate) limit: Option<u16>,
    /// `next_cursor` of the page before.
    pub(crate) cursor: Option<String>,
    /// An item's id: the page begins behind that item. As `cursor`, which is such an id.
    pub(crate) after: Option<String>,
}

/// One page of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Items<T> {
    pub(crate) items: Vec<T>,
    /// Where the next page begins; null on the last.
    pub(crate) next_cursor: Option<String>,
}

impl PageQuery {
    /// Asks the store for one more than is shown: whether there is a next page.
    pub(crate) fn parse<Id: FromStr>(&self) -> Result<Page<Id>, Problem> {
        let cursor = one_of(self.cursor.as_deref(), self.after.as_deref())?;
        page(self.limit, cursor)
    }
}

/// Where a page begins; said twice, it is said wrong.
pub(crate) fn one_of<'a>(
    cursor: Option<&'a str>,
    after: Option<&'a str>,
) -> Result<Option<&'a str>, Problem> {
    if cursor.is_some() && after.is_some() {
        let words = "`cursor` and `after` both say where the page begins. Send one of them.";
        return Err(Problem::new(ProblemCode::MalformedQuery, words).naming("after"));
    }
    Ok(cursor.or(after))
}

/// How many items are shown.
pub(crate) fn shown(limit: Option<u16>) -> Result<u16, Problem> {
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    if (1..=LIMIT_MAX).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::new(ProblemCode::MalformedQuery, "`limit` is 1 to 100.").naming("limit"))
}

/// Reads limit and cursor; the page asks for one item more than is shown.
pub(crate) fn page<Id: FromStr>(
    limit: Option<u16>,
    cursor: Option<&str>,
) -> Result<Page<Id>, Problem> {
    let limit = shown(limit)?;
    let after = cursor
        .map(|cursor| {
            cursor.parse().map_err(|_| {
                Problem::new(
                    ProblemCode::MalformedQuery,
                    "`cursor` is the `next_cursor` of the page before.",
                )
                .naming("cursor")
            })
        })
        .transpose()?;
    Ok(Page { limit: limit + 1, after })
}

impl<T> Items<T> {
    /// Cuts the item too many off and names the last one shown.
    pub(crate) fn cut<Row, Id: Display>(
        mut rows: Vec<Row>,
        page: &Page<Id>,
        id: impl Fn(&Row) -> Id,
        shape: impl Fn(Row) -> T,
    ) -> Self {
        let shown = usize::from(page.limit.saturating_sub(1));
        let more = rows.len() > shown;
        rows.truncate(shown);
        let next_cursor = rows.last().filter(|_| more).map(|row| id(row).to_string());
        Self { items: rows.into_iter().map(shape).collect(), next_cursor }
    }

    /// A list that is short enough for one page.
    pub(crate) fn all(items: Vec<T>) -> Self {
        Self { items, next_cursor: None }
    }
}
