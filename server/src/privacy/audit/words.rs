//! The audit's words, each with a code that is never given to another.
//!
//! A code stands in entries for ever: a word may go out of use, its code stays its own.

macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $code:literal $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$of])* $variant),+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub const fn code(self) -> u16 {
                match self { $(Self::$variant => $code),+ }
            }

            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The word of a code; a later version's is its number.
            pub fn word_of(code: u16) -> String {
                let known = Self::ALL.iter().find(|known| known.code() == code);
                known.map_or_else(|| code.to_string(), |known| known.word().to_owned())
            }

            /// The reverse.
            pub fn code_of(word: &str) -> Option<u16> {
                let known = Self::ALL.iter().find(|known| known.word() == word);
                known.map(|known| known.code()).or_else(|| word.parse().ok())
            }
        }
    };
}

words! {
    /// What an actor is.
    ActorKind {
        /// livehelp itself.
        Program = 1 "program",
        Operator = 2 "operator_key",
        /// An Organization's program.
        Key = 3 "api_key",
        Agent = 4 "agent",
        Visitor = 5 "visitor",
    }
}

words! {
    /// Why somebody read what is read only for a reason.
    Purpose {
        Abuse = 1 "abuse",
        Problem = 2 "problem",
        Support = 3 "support",
        SuspectedViolation = 4 "suspected_violation",
        Law = 5 "law",
    }
}

words! {
    /// What an act is done to.
    ObjectKind {
        Tenant = 1 "tenant",
        Site = 2 "site",
        Agent = 3 "agent",
        Session = 4 "session",
        Invitation = 5 "invitation",
        Key = 6 "key",
        Tag = 7 "tag",
        CannedResponse = 8 "canned_response",
        Conversation = 9 "conversation",
        Visitor = 10 "visitor",
        Request = 11 "request",
        Hold = 12 "hold",
        Agreement = 13 "agreement",
        Grant = 14 "grant",
        Disclosure = 15 "disclosure",
        Export = 16 "export",
        Suppression = 17 "suppression",
    }
}

words! {
    /// What was done.
    Action {
        TenantCreated = 1 "tenant.created",
        TenantChanged = 2 "tenant.changed",
        TenantClosed = 3 "tenant.closed",
        SiteCreated = 10 "site.created",
        SiteSettingsChanged = 11 "site.settings_changed",
        SitePlanChanged = 12 "site.plan_changed",
        SiteClosed = 13 "site.closed",
        SiteReopened = 14 "site.reopened",
        AgentCreated = 20 "agent.created",
        AgentChanged = 21 "agent.changed",
        AgentDeactivated = 22 "agent.deactivated",
        AgentReactivated = 23 "agent.reactivated",
        InvitationCreated = 30 "invitation.created",
        InvitationRevoked = 31 "invitation.revoked",
        InvitationAccepted = 32 "invitation.accepted",
        SessionSignedIn = 40 "session.signed_in",
        SessionEnded = 41 "session.ended",
        PasswordChanged = 50 "password.changed",
        PasswordResetCreated = 51 "password.reset_created",
        PasswordResetUsed = 52 "password.reset_used",
        KeyCreated = 60 "key.created",
        KeyDeleted = 61 "key.deleted",
        TagCreated = 70 "tag.created",
        TagChanged = 71 "tag.changed",
        TagDeleted = 72 "tag.deleted",
        CannedCreated = 80 "canned_response.created",
        CannedChanged = 81 "canned_response.changed",
        CannedDeleted = 82 "canned_response.deleted",
        ClockConfirmed = 90 "clock.confirmed",
        ClockLowered = 91 "clock.lowered",
        BackupBegun = 100 "backup.begun",
        BackupMade = 101 "backup.made",
        BackupRestored = 102 "backup.restored",
        /// The keys of buckets that are over are about to be destroyed.
        ShredIntended = 110 "shred.intended",
        ShredDone = 111 "shred.done",
        ConversationRead = 120 "conversation.read",
        RequestOpened = 130 "request.opened",
        RequestChanged = 131 "request.changed",
        RequestClosed = 132 "request.closed",
        SubjectErased = 140 "subject.erased",
        SubjectRestricted = 141 "subject.restricted",
        SubjectReleased = 142 "subject.released",
        HoldPlaced = 150 "hold.placed",
        HoldReleased = 151 "hold.released",
        AgreementMade = 160 "agreement.made",
        AgreementEnded = 161 "agreement.ended",
        GrantGiven = 170 "grant.given",
        GrantEnded = 171 "grant.ended",
        DisclosureMade = 180 "disclosure.made",
        ExportMade = 190 "export.made",
        PolicyActivated = 200 "policy.activated",
        SuppressionAdded = 210 "suppression.added",
        SuppressionRemoved = 211 "suppression.removed",
        AuditExported = 220 "audit.exported",
    }
}

words! {
    /// What a number in an entry is.
    Detail {
        /// Objects beyond those that are named.
        FurtherObjects = 1 "further_objects",
        OldPlan = 2 "old_plan",
        NewPlan = 3 "new_plan",
        OldDay = 4 "old_day",
        NewDay = 5 "new_day",
        OldRole = 6 "old_role",
        NewRole = 7 "new_role",
        OldMark = 8 "old_mark",
        NewMark = 9 "new_mark",
        Buckets = 10 "buckets",
        Class = 11 "class",
        FirstDay = 12 "first_day",
        LastDay = 13 "last_day",
        Sessions = 14 "sessions",
        Scopes = 15 "scopes",
        Messages = 16 "messages",
    }
}
