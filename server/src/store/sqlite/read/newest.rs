//! What a list shows of a conversation: how far it has come, who has seen what, the newest words.

use protocol::ids::{ConversationId, TenantId};
use protocol::message::{AuthorKind, Seq, Visibility};
use rusqlite::params;

use super::{Home, Reader, newest_in_range, passed_over};
use crate::store::sight::{NewestWords, WordsAndAsked};
use crate::store::sqlite::fault::Fault;
use crate::store::sqlite::row::MessageRow;
use crate::store::sqlite::transaction;
use crate::store::{NewestRow, Sight};

impl Reader<'_> {
    /// What a list shows of a conversation.
    pub(in crate::store::sqlite) fn newest_said(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
    ) -> Result<Option<NewestRow>, Fault> {
        let Some(home) = self.home(tenant, conversation)? else { return Ok(None) };
        let (words, asked) = self.newest_words(&home)?;
        let waits = self.waiting.last().map_or(Seq(0), |waiting| waiting.seq);
        Ok(Some(NewestRow {
            conversation,
            site: home.site,
            seq_last: transaction::seq_last(self.connection, home.id)?.max(waits),
            receipts: self.receipts(&home)?,
            words,
            asked,
        }))
    }

    fn newest_words(&self, home: &Home) -> Result<WordsAndAsked, Fault> {
        let sight = Sight::Words(self.now.day());
        let mut newest = NewestWords::default();
        let mut oldest = None;
        let mut look = |row: MessageRow<'_>| {
            oldest = Some(row.seq);
            let visibility =
                Visibility::from_code(row.visibility).ok_or(Fault::Row("visibility"))?;
            let author = AuthorKind::from_code(row.author).ok_or(Fault::Row("author"))?;
            newest.look((visibility, author), || self.seen(home, &row, sight))?;
            Ok(Some(newest.is_done()))
        };
        let mut done = false;
        for row in self.waiting_in(Seq(0), None) {
            done = done || passed_over(home, look(*row))?.unwrap_or_default();
        }
        let mut statement = self.connection.prepare_cached(&newest_in_range())?;
        let mut rows = statement.query(params![home.id, 0, self.file_ends(None)])?;
        while !done && let Some(row) = rows.next()? {
            let looked = MessageRow::read(row).and_then(&mut look);
            done = passed_over(home, looked)?.unwrap_or_default();
        }
        newest.or_below(|| Ok(self.sighted(home, sight, (Seq(0), oldest), 1)?.messages.pop()))
    }
}
