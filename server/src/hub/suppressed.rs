//! Visitors whom the Organization erased: they may talk, and nobody keeps who they are.
//!
//! Not here: what is compared (`privacy/suppression`), accounts (`api/suppressions`).

use protocol::ids::TenantId;
use protocol::personal::Personal;
use protocol::reject::Reject;

use super::conversations::Conversations;
use crate::auth::normal_email;
use crate::metrics::Suppressed;
use crate::privacy::suppression::{Identifier, IdentifierKind};

impl Conversations {
    /// Whether an e-mail address may not be taken in again; counted where it may not.
    pub(super) async fn is_suppressed(
        &self,
        tenant: TenantId,
        email: &Personal<String>,
    ) -> Result<bool, Reject> {
        let typed = email.expose();
        // A form's answer is whatever was typed or pasted.
        let normal = normal_email(typed).ok();
        let email = normal.as_ref().map_or(typed, |normal| normal.expose());
        let Some(identifier) = Identifier::of(IdentifierKind::Email, email) else {
            return Ok(false);
        };
        let is_there = self.store.suppression(tenant, &identifier).await?.is_some();
        if is_there {
            self.metrics.suppressions_refused_total.of(Suppressed::Email).inc();
        }
        Ok(is_there)
    }

    /// An address that was kept, where it may be kept further on.
    pub(super) async fn unless_suppressed(
        &self,
        tenant: TenantId,
        kept: Option<Personal<String>>,
    ) -> Result<Option<Personal<String>>, Reject> {
        match kept {
            Some(email) if self.is_suppressed(tenant, &email).await? => Ok(None),
            kept => Ok(kept),
        }
    }
}
