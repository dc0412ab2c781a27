//! What is kept is readable to the last millisecond of its time and gone with the next, at every
//! door, swept or not; and after the sweep it is gone for good.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use livehelp::clock::ManualClock;
use livehelp::privacy::envelope::Flags;
use livehelp::privacy::policy::Plan;
use livehelp::store::FieldRule;
use protocol::conversation::{FormAnswer, PageView};
use protocol::frame::{ClientFrame, RequestId};
use protocol::ids::{ConversationId, SiteId};
use protocol::limits::List;
use protocol::message::{Body, Seq, Visibility};
use protocol::personal::{Personal, Text};
use protocol::time::UnixMillis;
use rusqlite::Connection;
use serde_json::json;

use crate::client::{Client, new_conversation, new_message};
use crate::http;
use crate::metrics::Scrape;
use crate::server::{COOKIES, OPERATOR_KEY, SHOP, Site, TestServer};

const DAY_MS: u64 = 86_400_000;

/// Words that stand for what a person said, each at the doors where they may be read.
pub const SAID: &str = "canary-said";
const ANSWERED: &str = "canary-answered";
const NOTE: &str = "canary-note";
const NAME: &str = "canary-name";
pub const EMAIL: &str = "canary-email@example.test";
const PAGE: &str = "canary-page";
const DRAFT: &str = "canary-draft";
/// Said over REST with an `Idempotency-Key`, whose answer is kept.
const PROGRAM: &str = "canary-program";
pub const ALL: [&str; 8] = [SAID, ANSWERED, NOTE, NAME, EMAIL, PAGE, DRAFT, PROGRAM];

/// Midnight UTC of a date, by a calendar of the test's own: it walks.
fn midnight(year: u64, month: u64, day: u64) -> UnixMillis {
    let leap = |year: u64| year.is_multiple_of(4);
    let long = |month, year| match month {
        2 if leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let years: u64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    let months: u64 = (1..month).map(|month| long(month, year)).sum();
    UnixMillis((years + months + day - 1) * DAY_MS)
}

pub struct Story {
    pub open: ConversationId,
    pub closed: ConversationId,
    pub token: Option<String>,
}

/// Opens a conversation with everything that a visitor and an agent can say in it.
async fn talk(visitor: &mut Client, agent: &mut Client) -> ConversationId {
    let conversation = new_conversation();
    let request = visitor.next_request();
    let field = |field: &str, answer: &str| FormAnswer {
        field: field.to_owned(),
        answer: Personal::new(answer.to_owned()),
    };
    let form = List::new(vec![field("name", NAME), field("email", EMAIL)]);
    let page = Some(PageView {
        url: Personal::new(format!("https://shop.example/{PAGE}?secret=1")),
        title: Some(Personal::new(PAGE.to_owned())),
    });
    visitor.tell(&ClientFrame::Open { request, conversation, form, notice: None, page }).await;
    visitor.acked(request).await;
    agent.accept(conversation).await;
    visitor.say(conversation, SAID).await;
    agent.heard(SAID).await;
    let request = agent.next_request();
    let visibility = Some(Visibility::Agents);
    let (message, body, seen_seq) = (new_message(), Body::Text(Text::new(NOTE)), Seq(0));
    agent
        .tell(&ClientFrame::Send { request, conversation, message, seen_seq, body, visibility })
        .await;
    agent.acked(request).await;
    let request = agent.next_request();
    let text = Text::new(DRAFT);
    agent.tell(&ClientFrame::Draft { request, conversation, text }).await;
    agent.acked(request).await;
    agent.say(conversation, ANSWERED).await;
    visitor.heard(ANSWERED).await;
    conversation
}

pub async fn tell_a_story(server: &Site) -> Story {
    let mut agent = Client::agent(server, 0).await;
    agent.available().await;
    let mut visitor = Client::visitor(server, None, vec![]).await;
    let closed = talk(&mut visitor, &mut agent).await;
    assert_eq!(say_once(server, closed).await.status, 201);
    let request = agent.next_request();
    agent.tell(&ClientFrame::Close { request, conversation: closed }).await;
    agent.acked(request).await;
    let open = talk(&mut visitor, &mut agent).await;
    Story { open, closed, token: visitor.token }
}

/// Says something over REST that is answered the same when it is asked again.
async fn say_once(server: &Site, conversation: ConversationId) -> http::Answer {
    let cookie = format!("livehelp_session={}", COOKIES[0]);
    let origin = format!("http://{}", server.address);
    let headers =
        [("cookie", cookie.as_str()), ("origin", origin.as_str()), ("idempotency-key", "the same")];
    let path = format!("/v1/conversations/{conversation}/messages");
    let body = json!({ "text": PROGRAM, "visibility": "agents" }).to_string();
    http::ask(server.address, "POST", &path, &headers, &body).await
}

/// All that each door yields, as raw text.
pub async fn doors(server: &Site, story: &mut Story) -> BTreeMap<&'static str, String> {
    let mut found = BTreeMap::new();
    let mut visitor = Client::visitor(server, story.token.clone(), vec![]).await;
    story.token = visitor.token.clone();
    visitor.history(RequestId(0)).await;
    visitor.settled().await;
    found.insert("visitor resumes", visitor.raw());
    for conversation in [story.open, story.closed] {
        let request = visitor.next_request();
        let history = ClientFrame::History { request, conversation, before: Seq(0), limit: 50 };
        visitor.tell(&history).await;
        visitor.history(request).await;
    }
    found.insert("visitor pages back", visitor.raw());
    found.extend(agents_doors(server, story).await);
    found
}

/// What the doors of the Organization's people yield.
async fn agents_doors(server: &Site, story: &Story) -> BTreeMap<&'static str, String> {
    let mut found = BTreeMap::new();
    let mut agent = Client::agent(server, 0).await;
    agent.settled().await;
    found.insert("board", agent.raw());
    for conversation in [story.open, story.closed] {
        agent.watch(conversation, None).await;
        agent.settled().await;
    }
    found.insert("agent enters", agent.raw());
    let cookie = format!("livehelp_session={}", COOKIES[0]);
    let (open, closed) = (story.open, story.closed);
    let plain = [("cookie", cookie.as_str())];
    let as_text = [("cookie", cookie.as_str()), ("accept", "text/plain")];
    for (door, path, headers) in [
        ("REST list", "/v1/conversations".to_owned(), &plain[..]),
        ("REST conversation", format!("/v1/conversations/{open}"), &plain[..]),
        ("REST closed conversation", format!("/v1/conversations/{closed}"), &plain[..]),
        ("REST messages", format!("/v1/conversations/{open}/messages"), &plain[..]),
        ("REST closed messages", format!("/v1/conversations/{closed}/messages"), &plain[..]),
        ("REST transcript", format!("/v1/conversations/{open}/transcript"), &plain[..]),
        ("REST text", format!("/v1/conversations/{closed}/transcript?notes=true"), &as_text[..]),
        ("REST visitors", "/v1/visitors".to_owned(), &plain[..]),
    ] {
        let answer = http::get(server.address, &path, headers).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        found.insert(door, answer.body);
    }
    found
}

/// What may be read, where.
pub fn rightful() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        ("visitor resumes", vec![SAID, ANSWERED]),
        ("visitor pages back", vec![SAID, ANSWERED]),
        ("board", vec![ANSWERED, NAME, EMAIL, PAGE, DRAFT]),
        ("agent enters", vec![SAID, ANSWERED, NOTE, NAME, EMAIL, PAGE]),
        ("REST list", vec![ANSWERED, NAME, EMAIL, PAGE]),
        ("REST conversation", vec![ANSWERED, NAME, EMAIL, PAGE]),
        ("REST closed conversation", vec![NAME, EMAIL, PAGE]),
        ("REST messages", vec![SAID, ANSWERED, NOTE]),
        ("REST closed messages", vec![SAID, ANSWERED, NOTE, PROGRAM]),
        ("REST transcript", vec![SAID, ANSWERED]),
        ("REST text", vec![SAID, ANSWERED, NOTE, PROGRAM]),
        ("REST visitors", vec![NAME, EMAIL]),
    ]
}

/// Every file below a folder, with what is in it.
pub fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.push((path, bytes));
        }
    }
    found
}

fn every_byte(folder: &Path, bytes: &mut Vec<u8>) {
    bytes.extend(files(folder).into_iter().flat_map(|(_, bytes)| bytes));
}

pub fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

async fn confirm(server: &Site, today: &str) {
    let key = format!("Bearer {OPERATOR_KEY}");
    let body = json!({ "today": today }).to_string();
    let headers = [("authorization", key.as_str())];
    let answer = http::ask(server.admin, "POST", "/v1/clock/confirm", &headers, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// Tells a story on 29 February 2028 and watches it end on `dead`.
async fn lives_until(plan: Plan, dead: (u64, u64, u64)) {
    let began = UnixMillis(midnight(2028, 2, 29).0 + 23 * 3_600_000);
    let clock = Arc::new(ManualClock::new(began));
    let server = TestServer::start_as(|setup| {
        setup.clock = Arc::clone(&clock) as _;
        setup.plan = plan;
        setup.settings.form.insert(String::from("email"), FieldRule::Optional);
        setup.config.visitor_token_days = 396;
        // Only the operator's word begins a round: first it must be hidden though it is still
        // there.
        setup.config.sweep_ms = DAY_MS;
    })
    .await;
    let mut story = tell_a_story(&server).await;
    let end = midnight(dead.0, dead.1, dead.2);
    // They come by now and then, or they would not be known any more.
    while end.0 - livehelp::clock::Clock::now(&*clock).0 > 300 * DAY_MS {
        clock.advance_ms(299 * DAY_MS);
        story.token = Client::visitor(&server, story.token, vec![]).await.token;
    }
    clock.set(UnixMillis(end.0 - 1));
    let last = doors(&server, &mut story).await;
    for (door, canaries) in rightful() {
        for canary in canaries {
            assert!(last[door].contains(canary), "{plan:?}: {canary} is gone too early: {door}");
        }
    }
    clock.advance_ms(1);
    for (door, text) in doors(&server, &mut story).await {
        for canary in ALL {
            assert!(!text.contains(canary), "{plan:?}: {canary} is read too late: {door}");
        }
    }
    swept_away(server, story, dead).await;
}

/// Waits until nothing of what was destroyed is left to be cleaned up: each bucket leaves the list
/// last of all.
async fn until_cleaned_up(data: &Path) {
    loop {
        let data = Connection::open(data).unwrap();
        let left = "SELECT count(*) FROM buckets WHERE class <> 7 AND day < 3000";
        if data.query_row(left, [], |row| row.get::<_, u64>(0)).unwrap() == 0 {
            return;
        }
        drop(data);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn swept_away(server: TestServer, story: Story, (year, month, day): (u64, u64, u64)) {
    let data = server.folder.path().join("data/livehelp.sqlite");
    let before = Connection::open(&data).unwrap();
    let bodies: Vec<(String, Vec<u8>)> = before
        .prepare(
            "SELECT 'message', body FROM messages UNION ALL SELECT 'form', form FROM conversations
             UNION ALL SELECT 'answer', answer FROM idempotent_answers",
        )
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(bodies.len() >= 10);
    drop(before);
    confirm(&server, &format!("{year}-{month:02}-{day:02}")).await;
    Scrape::until(server.admin, |scrape| scrape.value("sweep_buckets_destroyed_total") >= 2.0)
        .await;
    until_cleaned_up(&data).await;
    // What was begun then goes on.
    let mut agent = Client::agent(&server, 0).await;
    agent.available().await;
    let mut visitor = Client::visitor(&server, story.token, vec![]).await;
    visitor.say(story.open, "still there?").await;
    // They were away for longer than their grace: it waits again, or is on offer, or still theirs.
    let request = agent.next_request();
    agent.tell(&ClientFrame::Assign { request, conversation: story.open }).await;
    agent.acked(request).await;
    agent.watch(story.open, None).await;
    agent.say(story.open, "I am").await;
    let request = agent.next_request();
    agent.tell(&ClientFrame::Close { request, conversation: story.open }).await;
    agent.acked(request).await;
    let folder = server.stop().await;
    let mut bytes = Vec::new();
    every_byte(folder.path(), &mut bytes);
    for canary in ALL {
        assert!(!holds(&bytes, canary.as_bytes()), "{canary} is in a file");
    }
    let data = Connection::open(&data).unwrap();
    let count = |sql: &str| data.query_row(sql, [], |row| row.get::<_, u64>(0)).unwrap();
    let old =
        "SELECT count(*) FROM messages m JOIN buckets b ON b.id = m.bucket WHERE b.day < 3000";
    assert_eq!(count(old), 0, "rows of 2028");
    assert_eq!(count("SELECT count(*) FROM conversations WHERE form IS NOT NULL"), 0);
    assert_eq!(count("SELECT count(*) FROM visitors WHERE name IS NOT NULL"), 0);
    assert_eq!(count("SELECT count(*) FROM drafts"), 0);
    assert_eq!(count("SELECT count(*) FROM idempotent_answers"), 0);
    let files = files(folder.path());
    for (what, body) in bodies {
        let left = files.iter().filter(|(_, bytes)| holds(bytes, &body));
        let places: Vec<_> = left.map(|(path, _)| path).collect();
        assert!(places.is_empty(), "a sealed {what} that nobody can open is still in {places:?}");
    }
    let keys = Connection::open(folder.path().join("keys/keys.sqlite")).unwrap();
    let left =
        "SELECT count(*) FROM bucket_keys WHERE wrapped IS NOT NULL AND class <> 7 AND day < 3000";
    let left: u64 = keys.query_row(left, [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0, "keys of 2028");
}

/// A server by a clock that stands at the morning of 29 February 2028, which sweeps when it is told
/// to.
async fn start(plan: Plan, clock: &Arc<ManualClock>) -> TestServer {
    TestServer::start_as(|setup| {
        setup.clock = Arc::clone(clock) as _;
        setup.plan = plan;
        setup.settings.form.insert(String::from("email"), FieldRule::Optional);
        setup.config.visitor_token_days = 396;
        setup.config.sweep_ms = DAY_MS;
    })
    .await
}

fn morning() -> UnixMillis {
    UnixMillis(midnight(2028, 2, 29).0 + 6 * 3_600_000)
}

async fn visitors(server: &Site) -> String {
    let cookie = format!("livehelp_session={}", COOKIES[0]);
    http::get(server.address, "/v1/visitors", &[("cookie", &cookie)]).await.body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_died_is_not_brought_back_by_the_next_conversation() {
    let clock = Arc::new(ManualClock::new(morning()));
    let server = start(Plan::Free, &clock).await;
    let story = tell_a_story(&server).await;
    // The first dead day; nothing was swept yet.
    clock.set(midnight(2028, 4, 30));
    assert!(!visitors(&server).await.contains(NAME));
    let mut visitor = Client::visitor(&server, story.token, vec![]).await;
    visitor.open().await;
    let seen = visitors(&server).await;
    assert!(!seen.contains(NAME) && !seen.contains(EMAIL), "{seen}");
    // One that lives goes along into the next.
    let mut agent = Client::agent(&server, 0).await;
    agent.available().await;
    let mut other = Client::visitor(&server, None, vec![]).await;
    talk(&mut other, &mut agent).await;
    clock.advance_ms(59 * DAY_MS);
    let mut other = Client::visitor(&server, other.token, vec![]).await;
    other.open().await;
    clock.advance_ms(59 * DAY_MS);
    assert!(visitors(&server).await.contains(NAME));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_answer_tells_where_a_message_stands_and_not_what_it_says() {
    let clock = Arc::new(ManualClock::new(morning()));
    let server = start(Plan::Free, &clock).await;
    let story = tell_a_story(&server).await;
    let again = say_once(&server, story.closed).await;
    assert_eq!(again.status, 201, "{}", again.body);
    assert!(again.body.contains(PROGRAM) && again.body.contains("message_id"), "{}", again.body);
    // Nobody asks for anything any more; the day after the next all of it is gone, though the
    // message lives.
    clock.advance_ms(2 * DAY_MS);
    confirm(&server, "2028-03-02").await;
    Scrape::until(server.admin, |scrape| scrape.value("sweep_buckets_destroyed_total") >= 1.0)
        .await;
    let folder = server.stop().await;
    let keys = Connection::open(folder.path().join("keys/keys.sqlite")).unwrap();
    let keys_of = |sql: &str| keys.query_row(sql, [], |row| row.get::<_, u64>(0)).unwrap();
    assert_eq!(keys_of("SELECT count(*) FROM bucket_keys WHERE class = 10 AND wrapped IS NULL"), 1);
    assert_eq!(keys_of("SELECT count(*) FROM bucket_keys WHERE wrapped IS NULL"), 1);
    let data = Connection::open(folder.path().join("data/livehelp.sqlite")).unwrap();
    let rows: u64 =
        data.query_row("SELECT count(*) FROM idempotent_answers", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_steps_back_shortens_no_life() {
    let clock = Arc::new(ManualClock::new(morning()));
    let server = start(Plan::Free, &clock).await;
    Scrape::until(server.admin, |scrape| scrape.value("sweep_clock_trusted") == 1.0).await;
    let server = server.restart_after(|| clock.set(midnight(2027, 2, 28))).await;
    let mut visitor = Client::visitor(&server, None, vec![]).await;
    let conversation = visitor.open().await;
    visitor.say(conversation, SAID).await;
    let read = async || {
        let cookie = format!("livehelp_session={}", COOKIES[0]);
        let path = format!("/v1/conversations/{conversation}/messages");
        http::get(server.address, &path, &[("cookie", &cookie)]).await.body
    };
    assert!(read().await.contains(SAID), "{}", read().await);
    clock.set(UnixMillis(midnight(2028, 4, 30).0 - 1));
    assert!(read().await.contains(SAID), "its sixty days are those that really passed");
    clock.advance_ms(1);
    assert!(!read().await.contains(SAID));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_browser_asks_for_stands_in_the_tag_of_all_that_is_said() {
    let server = TestServer::start().await;
    let mut agent = Client::agent(&server, 0).await;
    agent.available().await;
    let headers = [("origin", SHOP), ("sec-gpc", "1")];
    let mut visitor = Client::connect(&server, &headers).await;
    visitor.greet_asking(server.site_key.clone(), None, vec![], Some(2)).await;
    let conversation = visitor.open().await;
    agent.accept(conversation).await;
    visitor.say(conversation, "one").await;
    agent.heard("one").await;
    agent.say(conversation, "two").await;
    let mut other = Client::visitor(&server, None, vec![]).await;
    let plain = other.open().await;
    other.say(plain, "three").await;
    let folder = server.stop().await;
    let data = Connection::open(folder.path().join("data/livehelp.sqlite")).unwrap();
    let flags: Vec<u16> = data
        .prepare("SELECT flags FROM messages WHERE author < 2 ORDER BY id")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let both = Flags::GPC | Flags::DNT;
    assert_eq!(flags, [both, both, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_sites_data_ends_six_months_after_it_was_closed() {
    let clock = Arc::new(ManualClock::new(morning()));
    let server = start(Plan::Enterprise, &clock).await;
    let mut story = tell_a_story(&server).await;
    let key = format!("Bearer {OPERATOR_KEY}");
    let headers = [("authorization", key.as_str())];
    let path = format!("/v1/sites/{}/close", SiteId::from_bytes([8; 16]));
    let answer = http::ask(server.admin, "POST", &path, &headers, "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    story.token = None;
    // 29 February and six months, and the day after.
    clock.set(UnixMillis(midnight(2028, 8, 30).0 - 1));
    for (door, text) in agents_doors(&server, &story).await {
        assert!(text.contains(ANSWERED) || text.contains(NAME), "gone too early: {door}");
    }
    clock.advance_ms(1);
    for (door, text) in agents_doors(&server, &story).await {
        for canary in ALL {
            assert!(!text.contains(canary), "{canary} is read too late: {door}");
        }
    }
    confirm(&server, "2028-08-30").await;
    Scrape::until(server.admin, |scrape| {
        scrape.value(r#"store_write_duration_seconds_count{op="sweep"}"#) >= 1.0
    })
    .await;
    let folder = server.stop().await;
    let keys = Connection::open(folder.path().join("keys/keys.sqlite")).unwrap();
    let left = "SELECT count(*) FROM bucket_keys WHERE wrapped IS NOT NULL AND class <> 7";
    let left: u64 = keys.query_row(left, [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0, "keys of a closed site");
    let mut bytes = Vec::new();
    every_byte(folder.path(), &mut bytes);
    for canary in ALL {
        assert!(!holds(&bytes, canary.as_bytes()), "{canary} is in a file");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn free_keeps_sixty_days() {
    lives_until(Plan::Free, (2028, 4, 30)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn team_keeps_twelve_months() {
    lives_until(Plan::Team, (2029, 3, 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn business_keeps_twenty_four_months() {
    lives_until(Plan::Business, (2030, 3, 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn enterprise_keeps_thirty_six_months() {
    lives_until(Plan::Enterprise, (2031, 3, 1)).await;
}
