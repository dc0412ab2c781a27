//! Bytes of somebody who means no good: every one is answered with an error, none with a panic.

use proptest::prelude::*;
use protocol::codec::{
    DecodeError, Encoding, decode_client, decode_server, encode_client, encode_server,
};
use protocol::frame::{ClientFrame, RequestId, ServerFrame};

use crate::vectors::{bytes, client, server};

fn refused(hex: &str) {
    let bytes = bytes(hex);
    assert!(decode_client(Encoding::Msgpack, &bytes).is_err(), "{hex} is no client frame");
    assert!(decode_server(Encoding::Msgpack, &bytes).is_err(), "{hex} is no server frame");
}

#[test]
fn what_is_no_frame_is_refused() {
    refused("");
    refused("c0"); // nil
    refused("05"); // a number
    refused("a568656c6c6f"); // text
    refused("8101c0"); // a map
    refused("90"); // an array without a kind
    refused("91c0"); // a kind that is nil
    refused("c1"); // the byte that MessagePack never uses
}

#[test]
fn a_length_that_is_not_there_is_refused_before_it_is_allocated() {
    refused("dd7fffffff"); // an array of two thousand million items
    refused("9209dbffffffff"); // text of four thousand million bytes
    refused("9209c6ffffffff"); // bytes of as many
    refused("9209dfffffffff"); // a map of as many
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    // A send whose text is the bytes ff fe.
    let mut frame = bytes("960202c410000000000000000000000000000000");
    frame.extend(bytes("00c4100000000000000000000000000000000007a2fffe"));
    assert!(decode_client(Encoding::Msgpack, &frame).is_err());
    assert!(decode_client(Encoding::Json, b"[\"ping\", \"\xff\xfe\"]").is_err());
}

#[test]
fn bytes_after_the_end_are_refused() {
    for vector in client() {
        let mut bytes = vector.msgpack();
        bytes.push(0xc0);
        assert!(decode_client(Encoding::Msgpack, &bytes).is_err(), "{}", vector.name);
    }
    assert!(decode_client(Encoding::Json, br#"["ping", 1] ["ping", 2]"#).is_err());
}

#[test]
fn a_frame_that_is_cut_short_is_refused() {
    for vector in client() {
        let bytes = vector.msgpack();
        for end in 0..bytes.len() {
            let cut = bytes.get(..end).unwrap();
            assert!(decode_client(Encoding::Msgpack, cut).is_err(), "{} cut at {end}", vector.name);
        }
    }
}

#[test]
fn an_error_quotes_nothing_of_the_bytes() {
    let error = decode_client(Encoding::Json, br#"["send", "canary"]"#).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"));
}

#[test]
fn deep_nesting_that_is_passed_over_costs_no_stack() {
    let mut text = String::from(r#"["dance", 7, "#);
    text.push_str(&"[".repeat(200_000));
    text.push_str(&"]".repeat(200_000));
    text.push(']');
    let frame = decode_client(Encoding::Json, text.as_bytes()).unwrap();
    assert_eq!(frame, ClientFrame::Unknown { request: RequestId(7) });
}

#[test]
fn deep_nesting_where_a_field_is_wanted_is_refused() {
    let deep = format!(r#"["ping", {}{}]"#, "[".repeat(200_000), "]".repeat(200_000));
    assert!(decode_client(Encoding::Json, deep.as_bytes()).is_err());
}

const CNV: &str = "cnv_0190a1b2c3d47e5f8a9b0c1d2e3f4051";
const MSG: &str = "msg_0190a1b2c3d57e5f8a9b0c1d2e3f4052";

/// A newer client knows more codes and forms, and may count further: it is told which field, and for which request.
#[test]
fn a_value_that_is_not_known_is_named_and_is_no_end() {
    let json = [
        (format!(r#"["send",5,"{CNV}","{MSG}",0,[7,"x",{{"a":1}}]]"#), 5, "body"),
        (format!(r#"["send",5,"{CNV}","{MSG}",0,["poll","x"]]"#), 5, "body"),
        (format!(r#"["send",5,"{CNV}","{MSG}",0,[1,"danced"]]"#), 5, "body"),
        (format!(r#"["send",5,"{CNV}","{MSG}",0,"hi","robots"]"#), 5, "visibility"),
        (String::from(r#"["availability",5,"asleep"]"#), 5, "availability"),
        (String::from(r#"["availability",5,"away",70000]"#), 5, "capacity"),
        (String::from(r#"["watch",5,"weather"]"#), 5, "topic"),
        (String::from(r#"["hello",5,"bot","t/1","en",[],null]"#), 5, "role"),
        (format!(r#"["history",5,"{CNV}",0,70000]"#), 5, "limit"),
        (format!(r#"["seen","{CNV}",9223372036854775808]"#), 0, "seq"),
        (format!(r#"["watch",5,"conversation","{CNV}",["{CNV}",-1]]"#), 5, "resume.seq"),
    ];
    for (frame, request, field) in json {
        let error = decode_client(Encoding::Json, frame.as_bytes()).unwrap_err();
        let wanted = DecodeError::Value {
            request: RequestId(request),
            field: field.to_owned(),
            is_newer: true,
        };
        assert_eq!(error, wanted, "{frame}");
        // Cut short or followed by more it is no frame, whatever its values are.
        let cut = frame.strip_suffix(']').unwrap();
        for none in [cut.to_owned(), format!("{frame} 1")] {
            let error = decode_client(Encoding::Json, none.as_bytes()).unwrap_err();
            assert!(matches!(error, DecodeError::Malformed { .. }), "{none}");
        }
    }
    let hex = |id: &str, prefix: &str| format!("c410{}", id.strip_prefix(prefix).unwrap());
    let (cnv, msg) = (hex(CNV, "cnv_"), hex(MSG, "msg_"));
    let msgpack = [
        (format!("960205{cnv}{msg}00920700"), 5, "body"),
        (format!("960205{cnv}{msg}0092cd012c00"), 5, "body"),
        (format!("960205{cnv}{msg}00920163"), 5, "body"),
        (format!("970205{cnv}{msg}00a2686909"), 5, "visibility"),
        (String::from("930f0509"), 5, "availability"),
        (String::from("931005cd012c"), 5, "topic"),
        (String::from("96010563a3742f31a2656e90"), 5, "role"),
        (format!("9308{cnv}cfffffffffffffffff"), 0, "seq"),
    ];
    for (hex, request, field) in msgpack {
        let error = decode_client(Encoding::Msgpack, &bytes(&hex)).unwrap_err();
        let wanted = DecodeError::Value {
            request: RequestId(request),
            field: field.to_owned(),
            is_newer: true,
        };
        assert_eq!(error, wanted, "{hex}");
    }
}

/// Another type than is known here, or fewer fields, is refused like another value; a server that sends it has a fault.
#[test]
fn a_field_of_another_type_is_named_and_is_no_end() {
    let send = |body: &str| format!(r#"["send",5,"{CNV}","{MSG}",0,{body}]"#);
    for (frame, request, field) in [
        (String::from(r#"["ping","7"]"#), 0, "request"),
        (String::from(r#"["ping"]"#), 0, "request"),
        (String::from(r#"["availability",5,7]"#), 5, "availability"),
        (String::from(r#"["ping","invalid value: 7"]"#), 0, "request"),
        (String::from(r#"["history",5,"cnv_12",0,9]"#), 5, "conversation"),
        (format!(r#"["history",5,"{CNV}",18446744073709551616,9]"#), 5, "before"),
        (format!(r#"["send",5,"{CNV}"]"#), 5, "message"),
        (send(r#"{"file":1}"#), 5, "body"),
        (send("null"), 5, "body"),
        (send("true"), 5, "body"),
        (send("[]"), 5, "body"),
        (send(r#""half of one \ud83d""#), 5, "body"),
    ] {
        let error = decode_client(Encoding::Json, frame.as_bytes()).unwrap_err();
        assert!(
            matches!(&error, DecodeError::Value { request: of, field: named, .. }
                if of.0 == request && named == field),
            "{frame}: {error:?}"
        );
    }
    for none in [r#"["ping",1"#, r#"[["ping"],1]"#, "[]", "[null,1]", r#"{"kind":"ping"}"#] {
        let error = decode_client(Encoding::Json, none.as_bytes()).unwrap_err();
        assert!(matches!(error, DecodeError::Malformed { .. }), "{none}: {error:?}");
    }
    assert!(decode_server(Encoding::Json, br#"["pong","7"]"#).is_err());
}

#[test]
fn a_frame_of_a_newer_server_is_passed_over() {
    for frame in [
        r#"["availability","maybe"]"#.to_owned(),
        format!(r#"["message","{CNV}",8,"{MSG}",["visitor"],1795000000000,[9,"x"],null]"#),
        format!(r#"["message","{CNV}",8,"{MSG}",["robot"],1795000000000,"x",null]"#),
        format!(r#"["message","{CNV}",8,"{MSG}",["system"],1795000000000,[1,"danced"],null]"#),
    ] {
        let read = decode_server(Encoding::Json, frame.as_bytes()).unwrap();
        assert_eq!(read, ServerFrame::Unknown { request: RequestId(0) }, "{frame}");
    }
    let msgpack = bytes("924863");
    let read = decode_server(Encoding::Msgpack, &msgpack).unwrap();
    assert!(matches!(read, ServerFrame::Unknown { .. }));
    let read = decode_server(Encoding::Json, br#"["reject",7,"tired","x"]"#).unwrap();
    assert_eq!(read, ServerFrame::Unknown { request: RequestId(7) });
}

/// What is read at all can be written, and reads the same again.
fn settles(encoding: Encoding, bytes: &[u8]) {
    let mut written = Vec::new();
    if let Ok(frame) = decode_client(encoding, bytes)
        && encode_client(encoding, &frame, &mut written).is_ok()
    {
        assert_eq!(decode_client(encoding, &written).unwrap(), frame);
    }
    written.clear();
    if let Ok(frame) = decode_server(encoding, bytes)
        && encode_server(encoding, &frame, &mut written).is_ok()
    {
        assert_eq!(decode_server(encoding, &written).unwrap(), frame);
    }
}

proptest! {
    #[test]
    fn any_bytes_at_all_end_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for encoding in Encoding::ALL {
            settles(encoding, &bytes);
        }
    }

    #[test]
    fn a_changed_byte_in_a_good_frame_ends_without_a_panic(
        which in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let frames: Vec<Vec<u8>> =
            client().iter().chain(&server()).map(|vector| vector.msgpack()).collect();
        let mut bytes = which.get(&frames).clone();
        let place = place.index(bytes.len());
        if let Some(changed) = bytes.get_mut(place) {
            *changed = byte;
        }
        settles(Encoding::Msgpack, &bytes);
    }
}
