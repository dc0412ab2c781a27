use tokio::net::TcpListener;

use super::*;
use crate::people::caller::tests::Host;
use crate::people::world::tests::world_at;

const fn room(number: u8) -> ConversationId {
    ConversationId::from_bytes([number; 16])
}

#[tokio::test]
async fn a_frame_that_is_none_is_corrupt_for_an_agent_without_a_talk_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = world_at(listener.local_addr().unwrap(), "");
    let cookie = String::from("session=x");
    let account = Account { agent: AgentId::from_bytes([1; 16]).to_string(), cookie };
    let answering = async {
        let mut host = Host::welcome(&listener).await;
        host.say(vec![0xc1]).await;
        // They asked whether they are available.
        let request = RequestId(2);
        host.tell(&ServerFrame::Ack { request, seq: None, at: None, expires: None, body: None })
            .await;
        host
    };
    let (agent, _host) = tokio::join!(sit(Arc::clone(&world), account), answering);
    assert_eq!(world.ledger.lock().judge().0.corrupt, 1);
    agent.unwrap().abort();
}

#[tokio::test]
async fn what_is_said_where_an_agent_has_no_part_is_misdelivered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = world_at(listener.local_addr().unwrap(), "");
    let cookie = String::from("session=x");
    let account = Account { agent: AgentId::from_bytes([1; 16]).to_string(), cookie };
    let answering = async {
        let mut host = Host::welcome(&listener).await;
        host.tell(&Host::message(room(1))).await;
        let request = RequestId(2);
        host.tell(&ServerFrame::Ack { request, seq: None, at: None, expires: None, body: None })
            .await;
        host
    };
    let (agent, _host) = tokio::join!(sit(Arc::clone(&world), account), answering);
    assert_eq!(world.ledger.lock().judge().0.misdelivered, 1);
    agent.unwrap().abort();
}
