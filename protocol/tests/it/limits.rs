//! The bounds that hold while a frame is read, and how they hang together.

use protocol::codec::{Encoding, decode_client, encode_client, request_of_beginning};
use protocol::conversation::{FormAnswer, PageView, ResumePoint};
use protocol::frame::{ClientFrame, ClientRole, RequestId};
use protocol::ids::{ConversationId, MessageId};
use protocol::limits::{
    ANSWER_BYTES_MAX, ANSWERS_MAX, FRAME_BYTES_MAX, HELLO_BYTES_MAX, List,
    MESSAGE_OVERHEAD_BYTES_MAX, RESUME_POINTS_MAX, SEQ_MAX, TEXT_BYTES_MAX, TEXT_CHARS_MAX,
    URL_BYTES_MAX, WORD_BYTES_MAX,
};
use protocol::message::{Body, Seq};
use protocol::personal::{Personal, Text};
use protocol::time::UnixMillis;

fn written(encoding: Encoding, frame: &ClientFrame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_client(encoding, frame, &mut bytes).unwrap();
    bytes
}

fn send(text: String) -> ClientFrame<'static> {
    ClientFrame::Send {
        request: RequestId(u32::MAX),
        conversation: ConversationId::from_bytes([0xff; 16]),
        message: MessageId::from_bytes([0xff; 16]),
        seen_seq: Seq(u64::from(u32::MAX)),
        body: Body::Text(Text::new(text)),
        visibility: None,
    }
}

fn points(count: usize) -> String {
    let point = format!("[\"cnv_{0}\", 1, \"msg_{0}\"]", "0".repeat(32));
    let points = vec![point; count].join(",");
    format!(r#"["hello", 1, "visitor", "t/1", "en", [{points}]]"#)
}

#[test]
fn a_list_is_refused_at_one_more_than_its_bound() {
    let fits = points(RESUME_POINTS_MAX);
    assert!(decode_client(Encoding::Json, fits.as_bytes()).is_ok());
    let over = points(RESUME_POINTS_MAX + 1);
    assert!(decode_client(Encoding::Json, over.as_bytes()).is_err());
}

#[test]
fn a_number_above_the_highest_is_no_frame() {
    let frame = |seq: u64| ClientFrame::Seen {
        conversation: ConversationId::from_bytes([1; 16]),
        seq: Seq(seq),
    };
    for encoding in Encoding::ALL {
        let highest = written(encoding, &frame(SEQ_MAX));
        assert_eq!(decode_client(encoding, &highest).unwrap(), frame(SEQ_MAX));
        for seq in [SEQ_MAX + 1, u64::MAX] {
            assert!(decode_client(encoding, &written(encoding, &frame(seq))).is_err(), "{seq}");
        }
    }
}

#[test]
fn a_send_costs_at_most_its_overhead_more_than_its_text() {
    let bytes = written(Encoding::Msgpack, &send("x".repeat(4_000)));
    assert!(bytes.len() <= 4_000 + MESSAGE_OVERHEAD_BYTES_MAX, "{} bytes", bytes.len());
}

#[test]
fn the_longest_text_fits_into_a_frame_of_either_encoding() {
    let widest = "\u{1f44b}".repeat(TEXT_CHARS_MAX);
    assert!(widest.len() <= TEXT_BYTES_MAX);
    assert!(written(Encoding::Msgpack, &send(widest.clone())).len() <= FRAME_BYTES_MAX);
    assert!(written(Encoding::Json, &send(widest)).len() <= FRAME_BYTES_MAX);
    let escaped = "\u{1}".repeat(TEXT_CHARS_MAX);
    assert!(written(Encoding::Json, &send(escaped)).len() <= FRAME_BYTES_MAX);
    // As a writer that keeps to ASCII has it.
    let overhead = written(Encoding::Json, &send(String::new())).len();
    assert!(overhead + r"\ud83d\udc4b".len() * TEXT_CHARS_MAX <= FRAME_BYTES_MAX);
}

#[test]
fn a_form_with_all_of_its_answers_fits_into_a_frame_of_either_encoding() {
    let answer = FormAnswer {
        field: "x".repeat(WORD_BYTES_MAX),
        answer: Personal::new("y".repeat(ANSWER_BYTES_MAX)),
    };
    let open = ClientFrame::Open {
        request: RequestId(u32::MAX),
        conversation: ConversationId::from_bytes([0xff; 16]),
        form: List::new(vec![answer; ANSWERS_MAX]),
        notice: Some("0".repeat(WORD_BYTES_MAX)),
        page: Some(PageView {
            url: Personal::new("u".repeat(URL_BYTES_MAX)),
            title: Some(Personal::new("t".repeat(ANSWER_BYTES_MAX))),
        }),
    };
    for encoding in Encoding::ALL {
        assert!(written(encoding, &open).len() <= FRAME_BYTES_MAX);
    }
}

#[test]
fn the_beginning_of_a_frame_says_which_question_it_is() {
    for encoding in Encoding::ALL {
        for request in [0, 1, 127, 128, 255, 256, 65_535, 65_536, u32::MAX] {
            let request = RequestId(request);
            let close =
                ClientFrame::Close { request, conversation: ConversationId::from_bytes([1; 16]) };
            let beginning = written(encoding, &close);
            let beginning = &beginning[..beginning.len().min(48)];
            assert_eq!(request_of_beginning(encoding, beginning), Some(request));
            for cut in 0..4 {
                let cut = &beginning[..cut];
                assert!(request_of_beginning(encoding, cut).is_none_or(|of| of == request));
            }
        }
        let conversation = ConversationId::from_bytes([1; 16]);
        let typing = written(encoding, &ClientFrame::Typing { conversation, typing: true });
        assert_eq!(request_of_beginning(encoding, &typing), None, "it asks nothing");
    }
    let spaced = b" [ \"send\" , 77 ,";
    assert_eq!(request_of_beginning(Encoding::Json, spaced), Some(RequestId(77)));
    assert_eq!(request_of_beginning(Encoding::Json, b"[\"send\",77"), None, "it may go on");
}

#[test]
fn a_hello_with_all_its_resume_points_fits_into_the_first_frame() {
    let point = ResumePoint {
        conversation: ConversationId::from_bytes([0xff; 16]),
        seq: Seq(SEQ_MAX),
        message: Some(MessageId::from_bytes([0xff; 16])),
        at: Some(UnixMillis(4_102_444_800_000)),
    };
    let hello = ClientFrame::Hello {
        request: RequestId(1),
        role: ClientRole::Agent,
        client: "\u{1}".repeat(WORD_BYTES_MAX),
        locale: "\u{1}".repeat(WORD_BYTES_MAX),
        resume: List::new(vec![point; RESUME_POINTS_MAX]),
        site: None,
        token: Some(Personal::new("\u{1}".repeat(WORD_BYTES_MAX))),
        signals: Some(3),
    };
    for encoding in Encoding::ALL {
        let len = written(encoding, &hello).len();
        assert!(len <= HELLO_BYTES_MAX, "{len} bytes");
    }
}

#[test]
fn a_writer_cannot_make_a_list_longer_than_a_reader_takes() {
    let answer = FormAnswer { field: "name".to_owned(), answer: Personal::new("Ada".to_owned()) };
    let form = List::<_, ANSWERS_MAX>::new(vec![answer; ANSWERS_MAX * 2]);
    assert_eq!(form.len(), ANSWERS_MAX);
    let open = ClientFrame::Open {
        request: RequestId(1),
        conversation: ConversationId::from_bytes([1; 16]),
        form,
        notice: None,
        page: Some(PageView { url: Personal::new(String::new()), title: None }),
    };
    for encoding in Encoding::ALL {
        let bytes = written(encoding, &open);
        assert_eq!(decode_client(encoding, &bytes).unwrap(), open);
    }
}
