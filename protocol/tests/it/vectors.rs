//! The golden frames of `protocol/vectors`: both encodings of each are frozen.

use std::collections::BTreeSet;

use protocol::codec::{Encoding, decode_client, decode_server, encode_client, encode_server};
use protocol::frame::{ClientFrame, Schema, ServerFrame};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) json: Value,
    msgpack: String,
}

impl Vector {
    fn json(&self) -> Vec<u8> {
        self.json.to_string().into_bytes()
    }

    pub(crate) fn msgpack(&self) -> Vec<u8> {
        bytes(&self.msgpack)
    }
}

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    assert_eq!(hex.len() % 2, 0, "whole bytes");
    (0..hex.len() / 2)
        .map(|place| {
            let digits = hex.get(place * 2..place * 2 + 2).unwrap();
            u8::from_str_radix(digits, 16).unwrap()
        })
        .collect()
}

pub(crate) fn client() -> Vec<Vector> {
    serde_json::from_str(include_str!("../../vectors/client.json")).unwrap()
}

pub(crate) fn server() -> Vec<Vector> {
    serde_json::from_str(include_str!("../../vectors/server.json")).unwrap()
}

#[test]
fn the_bytes_of_client_frames_are_frozen() {
    for vector in client() {
        let (json, msgpack) = (vector.json(), vector.msgpack());
        let read = decode_client(Encoding::Json, &json).unwrap();
        assert_eq!(decode_client(Encoding::Msgpack, &msgpack).unwrap(), read, "{}", vector.name);
        let mut written = Vec::new();
        encode_client(Encoding::Msgpack, &read, &mut written).unwrap();
        assert_eq!(written, msgpack, "{}", vector.name);
        let mut written = Vec::new();
        encode_client(Encoding::Json, &read, &mut written).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), vector.json);
    }
}

#[test]
fn the_bytes_of_server_frames_are_frozen() {
    for vector in server() {
        let (json, msgpack) = (vector.json(), vector.msgpack());
        let read = decode_server(Encoding::Json, &json).unwrap();
        assert_eq!(decode_server(Encoding::Msgpack, &msgpack).unwrap(), read, "{}", vector.name);
        let mut written = Vec::new();
        encode_server(Encoding::Msgpack, &read, &mut written).unwrap();
        assert_eq!(written, msgpack, "{}", vector.name);
        let mut written = Vec::new();
        encode_server(Encoding::Json, &read, &mut written).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), vector.json);
    }
}

fn every_kind_has_a_vector(schemas: &[Schema], vectors: &[Vector]) {
    let words: BTreeSet<&str> =
        vectors.iter().filter_map(|vector| vector.json.get(0)?.as_str()).collect();
    for schema in schemas {
        assert!(words.contains(schema.word), "{} has no golden vector", schema.word);
    }
}

#[test]
fn every_kind_of_frame_has_a_golden_vector() {
    every_kind_has_a_vector(ClientFrame::SCHEMA, &client());
    every_kind_has_a_vector(ServerFrame::SCHEMA, &server());
}

#[test]
fn no_code_and_no_word_names_two_kinds_of_one_side() {
    for schemas in [ClientFrame::SCHEMA, ServerFrame::SCHEMA] {
        let codes: BTreeSet<u8> = schemas.iter().map(|schema| schema.code).collect();
        let words: BTreeSet<&str> = schemas.iter().map(|schema| schema.word).collect();
        assert_eq!(codes.len(), schemas.len());
        assert_eq!(words.len(), schemas.len());
    }
}

#[derive(Deserialize)]
struct Tolerated {
    name: String,
    from: String,
    json: Value,
    reads_as: Value,
    reads_as_msgpack: String,
}

#[test]
fn what_a_newer_peer_adds_is_passed_over() {
    let vectors: Vec<Tolerated> =
        serde_json::from_str(include_str!("../../vectors/tolerated.json")).unwrap();
    for Tolerated { name, from, json, reads_as, reads_as_msgpack } in vectors {
        let (odd, plain) = (json.to_string(), reads_as.to_string());
        let msgpack = bytes(&reads_as_msgpack);
        if from == "client" {
            let read = decode_client(Encoding::Json, odd.as_bytes()).unwrap();
            assert_eq!(read, decode_client(Encoding::Json, plain.as_bytes()).unwrap(), "{name}");
            assert_eq!(read, decode_client(Encoding::Msgpack, &msgpack).unwrap(), "{name}");
        } else {
            let read = decode_server(Encoding::Json, odd.as_bytes()).unwrap();
            assert_eq!(read, decode_server(Encoding::Json, plain.as_bytes()).unwrap(), "{name}");
            assert_eq!(read, decode_server(Encoding::Msgpack, &msgpack).unwrap(), "{name}");
        }
    }
}
