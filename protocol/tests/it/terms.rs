//! What stands behind the names of a client's kinds.

use protocol::codec::{Encoding, decode_client};
use protocol::frame::{ClientFrame, Cost, RequestId, Senders};
use serde_json::Value;

use crate::vectors::client;

/// Each golden frame with its JSON.
fn each(check: impl Fn(&ClientFrame<'_>, &Value)) {
    for vector in client() {
        let msgpack = vector.msgpack();
        check(&decode_client(Encoding::Msgpack, &msgpack).unwrap(), &vector.json);
    }
}

#[test]
fn an_answer_is_matched_by_the_second_element_where_the_kind_has_a_request() {
    each(|frame, json| {
        let schema = ClientFrame::SCHEMA.iter().find(|schema| schema.word == frame.word()).unwrap();
        let first = schema.fields.first().unwrap();
        let expected = if first.name == "request" { json[1].as_u64().unwrap() } else { 0 };
        assert_eq!(u64::from(frame.request().0), expected, "{}", frame.word());
    });
    let unknown = ClientFrame::Unknown { request: RequestId(7) };
    assert_eq!((unknown.request(), unknown.cost()), (RequestId(7), Cost::Store));
}

#[test]
fn what_counts_only_where_it_is_watched_names_its_conversation_and_has_no_answer() {
    each(|frame, json| {
        let Some(conversation) = frame.watched() else { return };
        assert_eq!(json[1], conversation.to_string(), "{}", frame.word());
        assert_eq!(frame.request(), RequestId(0));
        assert_eq!(frame.cost(), Cost::Memory);
    });
}

#[test]
fn who_says_a_kind_is_listed_in_the_order_of_the_kinds() {
    let listed: Vec<_> = ClientFrame::SCHEMA.iter().zip(ClientFrame::SENDERS).collect();
    assert_eq!(listed.len(), ClientFrame::SCHEMA.len());
    assert_eq!(listed.len(), ClientFrame::SENDERS.len());
    each(|frame, _| {
        let (_, senders) = listed.iter().find(|(schema, _)| schema.word == frame.word()).unwrap();
        assert_eq!(frame.senders(), **senders, "{}", frame.word());
    });
    let of = |whose: Senders| {
        let its = listed.iter().filter(|(_, senders)| **senders == whose);
        its.map(|(schema, _)| schema.word).collect::<Vec<_>>()
    };
    assert_eq!(of(Senders::Visitors), ["open", "page"]);
    let agents = [
        "accept",
        "decline",
        "assign",
        "transfer",
        "availability",
        "draft",
        "take-over",
        "withdraw",
    ];
    assert_eq!(of(Senders::Agents), agents);
}
