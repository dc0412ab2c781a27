//! The only maker of an [`Envelope`]: may this be said here, what of it is kept, why and how long.

use protocol::ids::{AgentId, ConversationId, MessageId, SiteId, TenantId, VisitorId};
use protocol::limits::{TEXT_BYTES_MAX, TEXT_CHARS_MAX, URL_BYTES_MAX};
use protocol::message::{Author, Body, EventKind, Seq, Visibility};
use protocol::personal::{Personal, Text};
use protocol::reject::{Reject, RejectCode};
use protocol::retention::RetentionClass;
use protocol::time::UnixMillis;
use protocol::visible::{self, is_blank};

use super::envelope::{Content, Envelope, Flags, Parts, Tag};
use super::policy::{Purposes, SiteTimeline, evaluate};
use super::redact::Redactor;
use crate::channel::Channel;
use crate::origin::is_web_address;

/// No number with its gaps is longer.
const NUMBER_BYTES_MAX: usize = 2_048;

/// What a frame or a request asks to say.
#[derive(Debug, Clone)]
pub struct NewMessage<'a> {
    pub conversation: ConversationId,
    pub message: MessageId,
    pub seen_seq: Seq,
    pub body: Body<'a>,
    pub visibility: Visibility,
}

impl NewMessage<'_> {
    /// The text that is to be masked, if it is one.
    pub fn text(&self) -> &str {
        match &self.body {
            Body::Text(text) => text.expose(),
            Body::Event { .. } => "",
        }
    }

    /// The same, for another thread.
    pub fn into_owned(self) -> NewMessage<'static> {
        let body = match self.body {
            Body::Text(text) => Body::Text(Text::new(text.into_personal().into_exposed())),
            Body::Event { event, agent } => Body::Event { event, agent },
        };
        NewMessage { body, ..self }
    }
}

/// Where it is said: everything that decides, looked up before.
#[derive(Debug, Clone, Copy)]
pub struct IngestContext<'a> {
    pub tenant: TenantId,
    pub site: SiteId,
    /// The conversation's visitor.
    pub subject: VisitorId,
    pub timeline: &'a SiteTimeline,
    pub redactor: &'a Redactor,
    pub flags: Flags,
    /// By which way the conversation came.
    pub channel: Channel,
}

impl IngestContext<'_> {
    fn open(&self, now: UnixMillis) -> Result<(), Reject> {
        match self.timeline.closed_at(now) {
            Some(_) => Err(Reject::new(RejectCode::SiteClosed, "this site is closed")),
            None => Ok(()),
        }
    }

    fn tag(&self, class: RetentionClass, now: UnixMillis) -> Tag {
        let ingest_day = now.day();
        Tag {
            tenant: self.tenant,
            site: self.site,
            subject: self.subject,
            class,
            purposes: Purposes(Purposes::RESPOND | Purposes::PROVIDE | Purposes::CONTRACT),
            flags: self.flags,
            policy_version: self.timeline.terms(ingest_day).version,
            ingest_day,
            expires: evaluate(self.timeline, class, ingest_day, ingest_day).expires,
        }
    }
}

/// Tags and redacts what someone says.
///
/// # Errors
/// With a code and words for a person, if it may not be said here, so long, or at all.
pub fn ingest(
    new_message: NewMessage<'_>,
    author: Author,
    context: &IngestContext<'_>,
    now: UnixMillis,
) -> Result<Envelope, Reject> {
    context.open(now)?;
    if !new_message.message.is_v7() {
        return Err(Reject::new(RejectCode::Invalid, "message: its id must be a version 7 UUID"));
    }
    let by_agent = match author {
        Author::Visitor | Author::Bot => false,
        Author::Agent(_) => true,
        Author::System => return Err(not_yours()),
    };
    if new_message.visibility == Visibility::Agents && !by_agent {
        return Err(Reject::new(RejectCode::Forbidden, "only agents write notes"));
    }
    let text = match new_message.body {
        Body::Text(text) => text,
        Body::Event { .. } => return Err(not_yours()),
    };
    let content = Content::Text(words(text.expose(), context.redactor)?);
    let class = match (new_message.visibility, author) {
        (Visibility::Agents, _) => RetentionClass::AgentNote,
        (Visibility::Everyone, Author::Visitor) if context.channel.is_offline_message() => {
            RetentionClass::OfflineMessage
        }
        (Visibility::Everyone, _) => RetentionClass::Transcript,
    };
    if context.timeline.keeps_nothing(class, now.day()).is_some() {
        let words = "by agreement nothing of this kind is kept here, so it is not taken in";
        return Err(Reject::new(RejectCode::Forbidden, words));
    }
    Ok(Envelope::new(Parts {
        tag: context.tag(class, now),
        conversation: new_message.conversation,
        message: new_message.message,
        author,
        visibility: new_message.visibility,
        at: now,
        seen_seq: new_message.seen_seq,
        content,
    }))
}

/// An event message, tagged like everything else. `None` if the message's id, made by the server,
/// is not of version 7, or the site is closed and takes in nothing more.
pub fn event(
    context: &IngestContext<'_>,
    conversation: ConversationId,
    message: MessageId,
    event: EventKind,
    agent: Option<AgentId>,
    now: UnixMillis,
) -> Option<Envelope> {
    if !message.is_v7() || context.open(now).is_err() {
        return None;
    }
    Some(Envelope::new(Parts {
        tag: context.tag(RetentionClass::Transcript, now),
        conversation,
        message,
        author: Author::System,
        visibility: Visibility::Everyone,
        at: now,
        seen_seq: Seq(0),
        content: Content::Event { event, agent },
    }))
}

/// Redacts and bounds a field that is not a message: a form's answer, a name, a page's title, a
/// draft.
///
/// # Errors
/// If it is longer than `bytes_max`; the words name `field`, never the value.
pub fn field(
    field: &'static str,
    text: &str,
    bytes_max: usize,
    redactor: &Redactor,
) -> Result<Personal<String>, Reject> {
    let too_long =
        || Reject::new(RejectCode::TooLong, format!("{field}: longer than {bytes_max} bytes"));
    if text.len() > bytes_max {
        return Err(too_long());
    }
    let kept = redactor.redact(text);
    // A mark may be longer than what it hides, and nobody is refused for what a site hides.
    let kept = if kept.len() <= bytes_max { kept } else { redactor.redact_within(text) };
    Ok(Personal::new(kept.into_owned()))
}

/// A browser's language as BCP 47 has it: language, script and region, and nothing else. Variants,
/// extensions and private parts are dropped, for anything may stand in them; a text of another form
/// is no language and gives the empty one. Bounded: 11 characters.
pub fn locale(text: &str) -> String {
    let letters = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    let mut parts = text.trim().split(['-', '_']).peekable();
    let Some(language) = parts.next().filter(|part| letters(part, 2..=3)) else {
        return String::new();
    };
    let mut kept = language.to_ascii_lowercase();
    if let Some(script) = parts.next_if(|part| letters(part, 4..=4)) {
        let (first, rest) = script.split_at(1);
        kept.push('-');
        kept.push_str(&first.to_ascii_uppercase());
        kept.push_str(&rest.to_ascii_lowercase());
    }
    let is_region = |part: &str| {
        letters(part, 2..=2) || (part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if let Some(region) = parts.next_if(|part| is_region(part)) {
        kept.push('-');
        kept.push_str(&region.to_ascii_uppercase());
    }
    kept
}

/// The same for what merely goes along with something else, such as a page's title: what is too
/// long is cut, for nobody is to be refused for it.
pub fn aside(text: &str, bytes_max: usize, redactor: &Redactor) -> Personal<String> {
    // Cut twice: half of a number would not be found, and nobody waits for what is dropped.
    let near = text.floor_char_boundary(bytes_max + NUMBER_BYTES_MAX);
    let mut kept = redactor.redact(text.get(..near).unwrap_or_default()).into_owned();
    kept.truncate(kept.floor_char_boundary(bytes_max));
    Personal::new(kept)
}

/// A page's address without what a site may have put behind it: query, fragment, name and password.
/// None for what is no page of the web, such as a file or a script: an agent may follow it.
pub fn page_url(url: &str, redactor: &Redactor) -> Option<Personal<String>> {
    // Nobody waits for what is dropped.
    let url =
        url.get(..url.floor_char_boundary(URL_BYTES_MAX + NUMBER_BYTES_MAX)).unwrap_or_default();
    let bare = url.trim().split(['?', '#']).next().unwrap_or_default();
    let bare = match bare.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = match rest.split_once('/') {
                Some((host, path)) => (host, Some(path)),
                None => (rest, None),
            };
            let host = host.rsplit('@').next().unwrap_or_default();
            match path {
                Some(path) => format!("{scheme}://{host}/{path}"),
                None => format!("{scheme}://{host}"),
            }
        }
        None => bare.to_owned(),
    };
    if bare.chars().any(char::is_control) {
        return None;
    }
    // A browser's address has nothing in it that is not seen; an agent's screen is not turned round
    // by another's.
    let bare = visible::name(&bare);
    let within = bare.starts_with('/') && !bare.starts_with("//") && !bare.contains('\\');
    let leads = within || is_web_address(&bare, true);
    leads.then(|| aside(&bare, URL_BYTES_MAX, redactor))
}

/// What a visitor is typing, for the agent who may look on: redacted, and with no long number,
/// since a half-typed card has no valid check digit. Never stored.
///
/// # Errors
/// If it is longer than a message may be.
pub fn peek(text: &str, redactor: &Redactor) -> Result<Personal<String>, Reject> {
    bounded(text)?;
    Ok(Personal::new(redactor.redact_peek(text).into_owned()))
}

fn words(text: &str, redactor: &Redactor) -> Result<Personal<String>, Reject> {
    bounded(text)?;
    if is_blank(text) {
        return Err(Reject::new(RejectCode::Invalid, "body: there is nothing in it"));
    }
    let kept = redactor.redact(text);
    // A mark may be longer than what it hides, and nobody is refused for what a site hides.
    let kept = if bounded(&kept).is_ok() { kept } else { redactor.redact_within(text) };
    Ok(Personal::new(kept.into_owned()))
}

fn bounded(text: &str) -> Result<(), Reject> {
    let too_long = |max: usize, unit| {
        Err(Reject::new(RejectCode::TooLong, format!("body: longer than {max} {unit}")))
    };
    if text.len() > TEXT_BYTES_MAX {
        return too_long(TEXT_BYTES_MAX, "bytes");
    }
    // No text has more characters than bytes; most are settled without counting.
    if text.len() > TEXT_CHARS_MAX && text.chars().count() > TEXT_CHARS_MAX {
        return too_long(TEXT_CHARS_MAX, "characters");
    }
    Ok(())
}

fn not_yours() -> Reject {
    Reject::new(RejectCode::Forbidden, "only the server writes event messages")
}

#[cfg(test)]
mod tests {
    use super::super::envelope::Sequenced;
    use super::super::gate::{Door, ReadGrant, Reader};
    use super::super::policy::{Plan, PolicyVersion, SiteEvent};
    use super::*;
    use protocol::personal::Text;
    use protocol::time::Day;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const CONVERSATION: ConversationId = ConversationId::from_bytes([4; 16]);

    fn v7(n: u8) -> MessageId {
        let mut bytes = [n; 16];
        bytes[6] = 0x70;
        bytes[8] = 0x80;
        MessageId::from_bytes(bytes)
    }

    fn new_message(text: &str) -> NewMessage<'_> {
        NewMessage {
            conversation: CONVERSATION,
            message: v7(1),
            seen_seq: Seq(3),
            body: Body::Text(Text::new(text)),
            visibility: Visibility::Everyone,
        }
    }

    struct Place {
        timeline: SiteTimeline,
        redactor: Redactor,
        channel: Channel,
    }

    impl Place {
        fn new() -> Self {
            let timeline = SiteTimeline::new(UnixMillis(0), Plan::Team);
            Self { timeline, redactor: Redactor::default(), channel: Channel::Widget }
        }

        fn context(&self) -> IngestContext<'_> {
            IngestContext {
                tenant: TenantId::from_bytes([1; 16]),
                site: SiteId::from_bytes([2; 16]),
                subject: VisitorId::from_bytes([3; 16]),
                timeline: &self.timeline,
                redactor: &self.redactor,
                flags: Flags(Flags::GPC),
                channel: self.channel,
            }
        }

        fn ingest(&self, new_message: NewMessage<'_>, author: Author) -> Result<Envelope, Reject> {
            ingest(new_message, author, &self.context(), NOW)
        }

        fn refused(&self, new_message: NewMessage<'_>, author: Author) -> RejectCode {
            self.ingest(new_message, author).unwrap_err().code
        }
    }

    fn agent() -> Author {
        Author::Agent(AgentId::from_bytes([9; 16]))
    }

    fn text_of(sequenced: &Sequenced, grant: &ReadGrant<'_>) -> Option<String> {
        match sequenced.shown(grant)?.body {
            Body::Text(text) => Some(text.expose().to_owned()),
            Body::Event { .. } => None,
        }
    }

    #[test]
    fn what_is_said_gets_its_whole_tag() {
        let place = Place::new();
        let envelope = place.ingest(new_message("hello"), Author::Visitor).unwrap();
        assert_eq!(
            envelope.tag(),
            &Tag {
                tenant: TenantId::from_bytes([1; 16]),
                site: SiteId::from_bytes([2; 16]),
                subject: VisitorId::from_bytes([3; 16]),
                class: RetentionClass::Transcript,
                purposes: Purposes(Purposes::RESPOND | Purposes::PROVIDE | Purposes::CONTRACT),
                flags: Flags(Flags::GPC),
                policy_version: PolicyVersion(1),
                ingest_day: NOW.day(),
                expires: Some(Day(NOW.day().0 + 366)),
            }
        );
        assert_eq!((envelope.at(), envelope.seen_seq()), (NOW, Seq(3)));
    }

    #[test]
    fn the_class_follows_from_who_speaks_to_whom() {
        let mut place = Place::new();
        place.channel = Channel::OfflineMessage;
        let class = |place: &Place, visibility, author| {
            let new_message = NewMessage { visibility, ..new_message("hello") };
            place.ingest(new_message, author).unwrap().tag().class
        };
        assert_eq!(
            class(&place, Visibility::Everyone, Author::Visitor),
            RetentionClass::OfflineMessage
        );
        assert_eq!(class(&place, Visibility::Everyone, agent()), RetentionClass::Transcript);
        assert_eq!(class(&place, Visibility::Agents, agent()), RetentionClass::AgentNote);
    }

    #[test]
    fn a_card_number_is_gone_before_anything_sees_it() {
        let place = Place::new();
        let envelope =
            place.ingest(new_message("it is 4111 1111 1111 1111"), Author::Visitor).unwrap();
        let grant = ReadGrant::fan_out(Reader::Visitor, NOW.day());
        assert_eq!(text_of(&envelope.sequence(Seq(1)), &grant).unwrap(), "it is [hidden]");
    }

    #[test]
    fn what_may_not_be_said_is_refused_by_name() {
        let place = Place::new();
        let old = NewMessage { message: MessageId::from_bytes([0x40; 16]), ..new_message("hello") };
        assert_eq!(place.refused(old, Author::Visitor), RejectCode::Invalid);
        assert_eq!(place.refused(new_message(" \n\t"), Author::Visitor), RejectCode::Invalid);
        let note = NewMessage { visibility: Visibility::Agents, ..new_message("hello") };
        assert_eq!(place.refused(note, Author::Visitor), RejectCode::Forbidden);
        let event = Body::Event { event: EventKind::Closed, agent: None };
        let event = NewMessage { body: event, ..new_message("") };
        assert_eq!(place.refused(event, agent()), RejectCode::Forbidden);
        assert_eq!(place.refused(new_message("hello"), Author::System), RejectCode::Forbidden);
    }

    #[test]
    fn words_in_which_nothing_is_seen_are_refused_from_everyone() {
        let place = Place::new();
        for blank in
            ["", "\u{200B}", "\u{2800}\u{2800}", "\u{3164}", " \u{FE0F}\u{202E}", "\u{301}"]
        {
            for author in [Author::Visitor, agent(), Author::Bot] {
                assert_eq!(place.refused(new_message(blank), author), RejectCode::Invalid);
            }
            let note = NewMessage { visibility: Visibility::Agents, ..new_message(blank) };
            assert_eq!(place.refused(note, agent()), RejectCode::Invalid);
        }
    }

    #[test]
    fn a_text_ends_at_its_limit() {
        let place = Place::new();
        let long =
            |text: &str| place.ingest(new_message(text), Author::Visitor).map_err(|r| r.code);
        assert!(long(&"a".repeat(TEXT_CHARS_MAX)).is_ok());
        assert_eq!(long(&"a".repeat(TEXT_CHARS_MAX + 1)).unwrap_err(), RejectCode::TooLong);
        assert!(long(&"\u{1F642}".repeat(TEXT_CHARS_MAX)).is_ok());
    }

    /// Its writer cannot know what the site hides.
    #[test]
    fn no_text_is_too_long_for_what_is_hidden_in_it() {
        let mut place = Place::new();
        for (pattern, text) in [
            ("x", "xy".repeat(TEXT_CHARS_MAX / 2)),
            ("x", "x\u{1F642}".repeat(TEXT_CHARS_MAX / 2)),
            (r"\b\d{4}\b", format!("1234 5678 {}", "z".repeat(TEXT_CHARS_MAX - 10))),
        ] {
            place.redactor = Redactor::new(&[pattern.to_owned()]).unwrap();
            let envelope = place.ingest(new_message(&text), Author::Visitor).unwrap();
            let kept = envelope.sequence(Seq(1));
            let Content::Text(kept) = kept.envelope().content() else { panic!("words") };
            assert!(!place.redactor.redact(kept.expose()).contains("1234"));
            assert!(kept.expose().chars().count() <= TEXT_CHARS_MAX && kept.expose().contains('*'));
            let (answer, _) = text.split_at(text.floor_char_boundary(1_000));
            assert!(field("form", answer, 1_000, &place.redactor).is_ok(), "{pattern}");
        }
    }

    #[test]
    fn a_closed_site_takes_nothing_in() {
        let mut place = Place::new();
        place.timeline.push(NOW, SiteEvent::Closed);
        assert_eq!(place.refused(new_message("hello"), Author::Visitor), RejectCode::SiteClosed);
        let line = |place: &Place| {
            event(&place.context(), CONVERSATION, v7(2), EventKind::Closed, None, NOW)
        };
        assert_eq!(line(&place), None);
        place.timeline.push(NOW, SiteEvent::Reopened);
        assert!(place.ingest(new_message("hello"), Author::Visitor).is_ok());
        assert_eq!(line(&place).unwrap().author(), Author::System);
    }

    #[test]
    fn a_note_never_reaches_a_visitor_and_nothing_is_shown_after_its_end() {
        let place = Place::new();
        let note = NewMessage { visibility: Visibility::Agents, ..new_message("between us") };
        let note = place.ingest(note, agent()).unwrap().sequence(Seq(1));
        let dead = note.envelope().tag().expires.unwrap();
        for (reader, sees) in [(Reader::Visitor, false), (Reader::Agents, true)] {
            for door in [Door::FanOut, Door::Resume, Door::History, Door::Api, Door::Preview] {
                let on = |day| ReadGrant::stored(door, reader, day, &place.timeline);
                assert_eq!(note.shown(&on(NOW.day())).is_some(), sees);
                assert_eq!(note.shown(&on(Day(dead.0 - 1))).is_some(), sees);
                assert!(note.shown(&on(dead)).is_none() && note.frame(&on(dead)).is_none());
            }
            assert!(note.shown(&ReadGrant::fan_out(reader, dead)).is_none());
        }
    }

    #[test]
    fn the_timeline_as_it_stands_decides_not_the_hint_in_the_tag() {
        let mut place = Place::new();
        let sequenced =
            place.ingest(new_message("hello"), Author::Visitor).unwrap().sequence(Seq(1));
        let day = Day(NOW.day().0 + 100);
        let sees = |place: &Place| {
            let grant = ReadGrant::stored(Door::History, Reader::Agents, day, &place.timeline);
            sequenced.shown(&grant).map(|message| message.expires)
        };
        assert_eq!(sees(&place), Some(sequenced.envelope().tag().expires));
        place.timeline.push(NOW, SiteEvent::Plan { plan: Plan::Free });
        assert_eq!(sees(&place), None);
    }

    #[test]
    fn a_restricted_record_is_hidden_at_every_door() {
        let place = Place::new();
        let context = IngestContext { flags: Flags(Flags::RESTRICTED), ..place.context() };
        let sequenced =
            ingest(new_message("hello"), Author::Visitor, &context, NOW).unwrap().sequence(Seq(1));
        assert!(sequenced.shown(&ReadGrant::fan_out(Reader::Agents, NOW.day())).is_none());
    }

    #[test]
    fn fields_are_redacted_and_bounded_and_errors_name_them() {
        let redactor = Redactor::default();
        let name = field("name", "Ada 4111111111111111", 100, &redactor).unwrap();
        assert_eq!(name.expose(), "Ada [hidden]");
        let reject = field("email", &"a".repeat(101), 100, &redactor).unwrap_err();
        assert_eq!(reject.code, RejectCode::TooLong);
        assert_eq!(reject.words, "email: longer than 100 bytes");
        assert_eq!(peek("card 4111 111", &redactor).unwrap().expose(), "card [hidden]");
    }

    #[test]
    fn a_locale_is_a_language_a_script_and_a_region_and_carries_nothing_else() {
        for (new_message, kept) in [
            ("de", "de"),
            ("de-DE", "de-DE"),
            ("pt_br", "pt-BR"),
            ("zh-hant-TW", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("sl-rozaj-biske", "sl"),
            ("en-GB-x-my-name-is-ada", "en-GB"),
            ("my name is Ada", ""),
            ("ada@example.test", ""),
            ("i-klingon", ""),
            ("4111111111111111", ""),
            ("é", ""),
            ("", ""),
        ] {
            assert_eq!(locale(new_message), kept, "{new_message}");
        }
    }

    #[test]
    fn a_pages_address_loses_what_stands_behind_it() {
        let redactor = Redactor::default();
        let bare = |url| page_url(url, &redactor).unwrap().into_exposed();
        assert_eq!(bare("https://shop.example/a/b?mail=x@y.z#t"), "https://shop.example/a/b");
        assert_eq!(bare("https://me:pw@shop.example/@a"), "https://shop.example/@a");
        assert_eq!(bare("https://shop.example?x"), "https://shop.example");
        assert_eq!(bare("/cart?x"), "/cart");
        assert_eq!(bare(" HTTP://m\u{fc}nchen.example/a "), "HTTP://m\u{fc}nchen.example/a");
    }

    #[test]
    fn what_leads_to_no_page_of_the_web_is_dropped() {
        let redactor = Redactor::default();
        for url in [
            "",
            "javascript:alert(1)",
            " JavaScript:alert(1)",
            "java\nscript:alert(1)",
            "javascript://shop.example/%0aalert(1)",
            "data:text/html,x",
            "blob:https://shop.example/1",
            "file:///home/ada/letter.html",
            "about:srcdoc",
            "//evil.example/x",
            "/\\evil.example",
            "https://",
            "https://shop.example/a\u{0}b",
            "shop.example",
        ] {
            assert!(page_url(url, &redactor).is_none(), "{url}");
        }
    }

    #[test]
    fn what_merely_goes_along_is_cut_and_never_in_the_middle_of_a_number() {
        let redactor = Redactor::default();
        let long = format!("https://shop.example/{}", "\u{e9}".repeat(URL_BYTES_MAX));
        let kept = page_url(&long, &redactor).unwrap().into_exposed();
        assert!(kept.len() <= URL_BYTES_MAX && long.starts_with(&kept), "{}", kept.len());
        let title = format!("{} 4111 1111 1111 1111", "t".repeat(985));
        let kept = aside(&title, 1_000, &redactor).into_exposed();
        assert!(kept.len() <= 1_000 && !kept.contains("4111"), "{kept}");
    }
}
