//! A server that keeps nothing: set up over REST alone, used, and empty after its end.

use std::os::unix::fs::PermissionsExt as _;

use livehelp::config::Store;
use protocol::conversation::ResumePoint;
use protocol::frame::RequestId;
use protocol::message::Body;
use serde_json::{Value, json};

use crate::client::{Client, new_message};
use crate::command::PASSWORD;
use crate::http::{Answer, ask, get};
use crate::server::{SHOP, Site, TestServer};

struct Operator {
    admin: std::net::SocketAddr,
    key: String,
}

impl Operator {
    fn of(server: &TestServer) -> Self {
        let path = server.folder.path().join("keys/operator-key");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let key = std::fs::read_to_string(path).unwrap().trim().to_owned();
        Self { admin: server.admin, key: format!("Bearer {key}") }
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let headers = [("authorization", self.key.as_str())];
        let answer = ask(self.admin, "POST", path, &headers, &body.to_string()).await;
        assert_eq!(answer.status, 201, "{path}: {}", answer.body);
        answer.json()
    }

    async fn tenants(&self) -> usize {
        let headers = [("authorization", self.key.as_str())];
        let answer = get(self.admin, "/v1/tenants", &headers).await;
        answer.json()["items"].as_array().expect("a list").len()
    }
}

/// Takes an invitation; the cookie of the new agent.
async fn take(server: &TestServer, link: &str) -> String {
    let token = link.rsplit('/').next().unwrap();
    let body = json!({ "token": token, "name": "Grace", "password": PASSWORD }).to_string();
    let origin = format!("http://{}", server.address);
    let headers = [("origin", origin.as_str())];
    let path = "/v1/invitations/accept";
    let answer: Answer = ask(server.address, "POST", path, &headers, &body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.cookie().expect("a session")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_memory_is_set_up_over_rest_chats_resumes_and_forgets() {
    let server = TestServer::start_empty(|config| config.store = Store::Memory).await;
    let operator = Operator::of(&server);
    let new = json!({ "name": "Acme", "privacy_contact": "privacy@acme.example" });
    let tenant = operator.post("/v1/tenants", &new).await;
    let tenant = tenant["tenant_id"].as_str().unwrap();
    let new = json!({ "name": "Shop", "origins": [SHOP], "plan": "team" });
    let made = operator.post(&format!("/v1/tenants/{tenant}/sites"), &new).await;
    let site_key = serde_json::from_value(made["site_key"].clone()).unwrap();
    let new = json!({ "email": "grace@acme.example", "role": "admin" });
    let invited = operator.post(&format!("/v1/tenants/{tenant}/invitations"), &new).await;
    let cookie = take(&server, invited["link"].as_str().unwrap()).await;
    let agents = server.agents;
    let site = Site { address: server.address, admin: server.admin, site_key, agents };

    let mut agent = Client::agent_with(&site, &cookie).await;
    agent.available().await;
    let mut visitor = Client::visitor(&site, None, vec![]).await;
    let conversation = visitor.open().await;
    agent.accept(conversation).await;
    let mut points = Vec::new();
    for number in 0..40 {
        let (message, request) = (new_message(), visitor.next_request());
        visitor.send(request, conversation, message, &format!("m{number}")).await;
        let (seq, at) = visitor.acked_at(request).await;
        points.push(ResumePoint { conversation, seq: seq.unwrap(), message: Some(message), at });
    }
    agent.heard("m39").await;
    agent.say(conversation, "I am here").await;
    visitor.heard("I am here").await;

    let token = visitor.token.clone();
    drop(visitor);
    let mut visitor = Client::visitor(&site, token, vec![points[29].clone()]).await;
    let (reset, page) = visitor.history(RequestId(0)).await;
    assert!(!reset);
    let texts: Vec<_> = page
        .iter()
        .filter_map(|message| match &message.body {
            Body::Text(text) => Some(text.expose().to_owned()),
            Body::Event { .. } => None,
        })
        .collect();
    let missed = (30..40).map(|number| format!("m{number}"));
    assert_eq!(texts, missed.chain([String::from("I am here")]).collect::<Vec<_>>());
    let again = points[39].clone();
    let request = visitor.next_request();
    visitor.send(request, conversation, again.message.unwrap(), "m39").await;
    assert_eq!(visitor.acked(request).await, Some(again.seq), "the same message, not another");
    drop((agent, visitor));

    assert!(!server.folder.path().join("data").exists(), "nothing touched the disk");
    let kept: Vec<_> = std::fs::read_dir(server.folder.path().join("keys")).unwrap().collect();
    assert_eq!(kept.len(), 1, "the operator's key and no other");
    assert_eq!(operator.tenants().await, 1);
    let server = server.restart().await;
    let operator = Operator { admin: server.admin, ..operator };
    assert_eq!(operator.tenants().await, 0, "the same key opens it, and it is empty");
    server.stop().await;
}
