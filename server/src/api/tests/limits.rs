//! Limits are a person's and a program's, by whichever way they come, and every answer says what is
//! left.

use std::net::IpAddr;

use axum::body::Body;
use http::{Request, header};
use serde_json::{Value, json};

use super::world::{
    ADDRESS_REQUESTS_BURST, Answer, By, KEY_REQUESTS_BURST, MESSAGES_BURST, ORIGIN, PASSWORD,
    REQUESTS_BURST, World, answer,
};
use crate::http::Peer;

/// Asks from an address, with these cookies.
async fn ask(world: &World, from: &str, cookie: Option<&str>, body: Option<Value>) -> Answer {
    let method = if body.is_some() { "POST" } else { "GET" };
    let ip: IpAddr = from.parse().unwrap();
    let mut request = Request::builder()
        .method(method)
        .uri("/v1/sessions")
        .header(header::ORIGIN, ORIGIN)
        .header(header::CONTENT_TYPE, "application/json")
        .extension(Peer { ip, secure: false });
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, cookie);
    }
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    answer(&world.public, request.body(body).unwrap()).await
}

async fn login(world: &World, from: &str, cookie: Option<&str>, password: &str) -> Answer {
    let email = world.a.admin.email.expose();
    let body = json!({ "email": email, "password": password });
    ask(world, from, cookie, Some(body)).await
}

fn left(answer: &Answer, policy: &str) -> u64 {
    let all = answer.header("ratelimit");
    let of = all.split(", ").find(|item| item.starts_with(&format!("\"{policy}\";")));
    let of = of.unwrap_or_else(|| panic!("{policy} is not in {all:?}"));
    let rest = of.split(";r=").nth(1).unwrap();
    rest.split(';').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_key_posts_so_many_in_a_row_and_another_keys_are_its_own() {
    let world = World::new().await;
    let path = format!("/v1/conversations/{}/messages", world.a.conversation);
    let (mut said, mut refused) = (0, Vec::new());
    for n in 0..800 {
        let body = json!({ "text": format!("post {n}") });
        let answer = world.post(&world.a.by_key, &path, body).await;
        match answer.status.as_u16() {
            201 => said += 1,
            _ => refused.push(answer.expect_code(429, "too-fast")),
        }
    }
    assert_eq!(said, KEY_REQUESTS_BURST);
    let refused = refused.pop().unwrap();
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("ratelimit"), "\"key\";r=0;t=60");
    assert_eq!(refused.header("ratelimit-policy"), "\"key\";q=60;w=60");
    let other = world.get(&world.b.by_key, "/v1/sites").await.expect(200);
    assert_eq!(left(&other, "key"), KEY_REQUESTS_BURST - 1);
    world.clock.advance_ms(1_000);
    world.get(&world.a.by_key, "/v1/sites").await.expect(200);
    world.get(&world.a.by_key, "/v1/sites").await.expect(429);
}

#[tokio::test]
async fn an_operators_key_is_a_key() {
    let world = World::new().await;
    for _ in 0..KEY_REQUESTS_BURST {
        super::world::send(&world.admin, &world.by_operator, "GET", "/v1/tenants", None)
            .await
            .expect(200);
    }
    let refused =
        super::world::send(&world.admin, &world.by_operator, "GET", "/v1/tenants", None).await;
    refused.expect_code(429, "too-fast");
}

#[tokio::test]
async fn what_an_agent_says_and_asks_is_counted_over_all_of_their_sessions() {
    let world = World::new().await;
    let again = login(&world, "192.0.2.1", None, PASSWORD).await.expect(201);
    let second = By::cookie(&super::world::token(&again));
    let path = format!("/v1/conversations/{}/messages", world.a.conversation);
    let say = async |by: &By| {
        world.post(by, &path, json!({ "text": "a note", "visibility": "agents" })).await
    };
    for n in 0..MESSAGES_BURST {
        let by = if n % 2 == 0 { &world.a.by_admin } else { &second };
        let said = say(by).await.expect(201);
        assert_eq!(left(&said, "messages"), MESSAGES_BURST - 1 - n);
    }
    for by in [&world.a.by_admin, &second] {
        say(by).await.expect_code(429, "too-fast");
    }
    say(&world.a.by_agent).await.expect(201);
    // What is left of the requests: asked by the one session and by the other.
    let rest = left(&world.get(&second, "/v1/sites").await.expect(200), "agent");
    assert_eq!(rest, REQUESTS_BURST - MESSAGES_BURST - 3);
    for _ in 0..rest {
        world.get(&world.a.by_admin, "/v1/sites").await.expect(200);
    }
    world.get(&second, "/v1/sites").await.expect_code(429, "too-fast");
    world.get(&world.a.by_agent, "/v1/sites").await.expect(200);
}

#[tokio::test]
async fn whoever_proves_nobody_is_counted_by_address() {
    let world = World::new().await;
    for _ in 0..ADDRESS_REQUESTS_BURST {
        ask(&world, "2001:db8::1", Some("livehelp_session=lhs_guessed"), None).await.expect(401);
    }
    let refused = ask(&world, "2001:db8::2", None, None).await;
    let refused = refused.expect_code(429, "too-fast");
    assert_eq!(left(&refused, "address"), 0);
    ask(&world, "2001:db8:0:1::1", None, None).await.expect(401);
}

#[tokio::test]
async fn a_stranger_locks_nobody_out_of_their_account() {
    let world = World::new().await;
    let first = login(&world, "192.0.2.7", None, PASSWORD).await.expect(201);
    let device = first.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    let device = device.into_iter().find(|cookie| cookie.starts_with("livehelp_device_")).unwrap();
    assert!(device.ends_with("; Path=/v1/sessions; Max-Age=31536000; HttpOnly; SameSite=Strict"));
    let device = device.split(';').next().unwrap();
    for _ in 0..10 {
        login(&world, "192.0.2.66", None, "guessed").await.expect_code(401, "login-refused");
    }
    login(&world, "192.0.2.66", None, "guessed").await.expect_code(429, "too-fast");
    login(&world, "198.51.100.1", None, PASSWORD).await.expect(201);
    // Beside the stranger, behind the same address, as well.
    login(&world, "192.0.2.66", Some(device), PASSWORD).await.expect(201);
    // Many strangers close the account to strangers, and to nobody else.
    let tried = async |n: u8| login(&world, &format!("203.0.113.{n}"), None, "guessed").await;
    let mut guesses = 0;
    for n in 0..40 {
        guesses += u32::from(tried(n).await.status.as_u16() == 401);
    }
    assert!(guesses <= 25, "{guesses}");
    login(&world, "198.51.100.2", None, PASSWORD).await.expect(429);
    login(&world, "198.51.100.2", Some(device), PASSWORD).await.expect(201);
    // What another host of the domain set stands before it, and is none.
    let beside = format!("livehelp_device_0badc0de=x.y; livehelp_device=z; {device}");
    login(&world, "198.51.100.2", Some(&beside), PASSWORD).await.expect(201);
    // A device says nothing for another's account.
    let email = world.b.admin.email.expose();
    for _ in 0..10 {
        let body = json!({ "email": email, "password": "guessed" });
        ask(&world, "198.51.100.3", Some(device), Some(body)).await.expect(401);
    }
    let body = json!({ "email": email, "password": PASSWORD });
    ask(&world, "198.51.100.3", Some(device), Some(body)).await.expect(429);
}
