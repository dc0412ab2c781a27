//! Whatever can be said comes out as it went in, in both encodings.

use proptest::option;
use proptest::prelude::*;
use protocol::codec::{Encoding, decode_client, decode_server, encode_client, encode_server};
use protocol::conversation::{FormAnswer, PageView, ResumePoint};
use protocol::frame::{ClientFrame, ClientRole, RequestId, ServerFrame};
use protocol::ids::{AgentId, ConversationId, MessageId, SiteKey};
use protocol::limits::{List, SEQ_MAX};
use protocol::message::{Author, Body, EventKind, Message, Seq, Visibility};
use protocol::personal::{Personal, Text};
use protocol::time::{Day, UnixMillis};

fn conversation() -> impl Strategy<Value = ConversationId> {
    any::<[u8; 16]>().prop_map(ConversationId::from_bytes)
}

fn message_id() -> impl Strategy<Value = MessageId> {
    any::<[u8; 16]>().prop_map(MessageId::from_bytes)
}

fn agent() -> impl Strategy<Value = AgentId> {
    any::<[u8; 16]>().prop_map(AgentId::from_bytes)
}

fn seq() -> impl Strategy<Value = Seq> {
    (0..=SEQ_MAX).prop_map(Seq)
}

fn request() -> impl Strategy<Value = RequestId> {
    any::<u32>().prop_map(RequestId)
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,80}"
}

fn visibility() -> impl Strategy<Value = Visibility> {
    prop_oneof![Just(Visibility::Everyone), Just(Visibility::Agents)]
}

fn author() -> impl Strategy<Value = Author> {
    prop_oneof![
        Just(Author::Visitor),
        Just(Author::Bot),
        Just(Author::System),
        agent().prop_map(Author::Agent),
    ]
}

fn body() -> impl Strategy<Value = Body<'static>> {
    let event = prop::sample::select(EventKind::ALL).prop_map(|(event, _, _)| event);
    prop_oneof![
        text().prop_map(|text| Body::Text(Text::new(text))),
        (event, option::of(agent())).prop_map(|(event, agent)| Body::Event { event, agent }),
    ]
}

fn message() -> impl Strategy<Value = Message<'static>> {
    let head = (seq(), message_id(), author(), any::<u64>());
    let tail = (body(), option::of(any::<u16>()), visibility());
    (head, tail).prop_map(|((seq, message, author, at), (body, expires, visibility))| Message {
        seq,
        message,
        author,
        at: UnixMillis(at),
        body,
        expires: expires.map(Day),
        visibility,
    })
}

fn page() -> impl Strategy<Value = PageView> {
    (text(), option::of(text())).prop_map(|(url, title)| PageView {
        url: Personal::new(url),
        title: title.map(Personal::new),
    })
}

fn point() -> impl Strategy<Value = ResumePoint> {
    (conversation(), seq(), option::of(message_id()), option::of(any::<u64>().prop_map(UnixMillis)))
        .prop_map(|(conversation, seq, message, at)| ResumePoint { conversation, seq, message, at })
}

fn hello() -> impl Strategy<Value = ClientFrame<'static>> {
    let optional = (
        option::of(any::<[u8; 16]>().prop_map(SiteKey::from_random)),
        option::of(text().prop_map(Personal::new)),
        option::of(any::<u8>()),
    );
    (request(), text(), text(), prop::collection::vec(point(), 0..5), optional).prop_map(
        |(request, client, locale, resume, (site, token, signals))| ClientFrame::Hello {
            request,
            role: ClientRole::Visitor,
            client,
            locale,
            resume: List::new(resume),
            site,
            token,
            signals,
        },
    )
}

fn client_frame() -> impl Strategy<Value = ClientFrame<'static>> {
    let answer = (text(), text())
        .prop_map(|(field, answer)| FormAnswer { field, answer: Personal::new(answer) });
    let send = (request(), conversation(), message_id(), seq(), body(), option::of(visibility()));
    let open = (
        request(),
        conversation(),
        prop::collection::vec(answer, 0..5),
        option::of(text()),
        option::of(page()),
    );
    prop_oneof![
        hello(),
        send.prop_map(|(request, conversation, message, seen_seq, body, visibility)| {
            ClientFrame::Send { request, conversation, message, seen_seq, body, visibility }
        }),
        open.prop_map(|(request, conversation, form, notice, page)| ClientFrame::Open {
            request,
            conversation,
            form: List::new(form),
            notice,
            page,
        }),
        (conversation(), any::<bool>())
            .prop_map(|(conversation, typing)| ClientFrame::Typing { conversation, typing }),
        (request(), conversation(), seq(), any::<u16>()).prop_map(
            |(request, conversation, before, limit)| ClientFrame::History {
                request,
                conversation,
                before,
                limit
            }
        ),
        page().prop_map(|page| ClientFrame::Page { page }),
    ]
}

fn server_frame() -> impl Strategy<Value = ServerFrame<'static>> {
    let history = (
        request(),
        conversation(),
        any::<bool>(),
        any::<bool>(),
        prop::collection::vec(message(), 0..40),
    );
    prop_oneof![
        (conversation(), message()).prop_map(|(conversation, message)| ServerFrame::Message {
            conversation,
            seq: message.seq,
            message: message.message,
            author: message.author,
            at: message.at,
            body: message.body,
            expires: message.expires,
            visibility: (message.visibility == Visibility::Agents).then_some(Visibility::Agents),
        }),
        history.prop_map(|(request, conversation, reset, more, messages)| ServerFrame::History {
            request,
            conversation,
            reset,
            more,
            messages
        }),
        (
            request(),
            option::of(seq()),
            option::of(any::<u64>()),
            option::of(any::<u16>().prop_map(Day)),
            option::of(body()),
        )
            .prop_map(|(request, seq, at, expires, body)| ServerFrame::Ack {
                request,
                seq,
                at: at.map(UnixMillis),
                expires,
                body,
            }),
        (conversation(), option::of(prop::collection::vec(message_id(), 0..9))).prop_map(
            |(conversation, messages)| ServerFrame::Forget {
                conversation,
                messages: messages.map(List::new)
            }
        ),
    ]
}

proptest! {
    #[test]
    fn a_client_frame_comes_out_as_it_went_in(frame in client_frame()) {
        for encoding in Encoding::ALL {
            let mut bytes = Vec::new();
            encode_client(encoding, &frame, &mut bytes).unwrap();
            prop_assert_eq!(&decode_client(encoding, &bytes).unwrap(), &frame);
        }
    }

    #[test]
    fn a_server_frame_comes_out_as_it_went_in(frame in server_frame()) {
        for encoding in Encoding::ALL {
            let mut bytes = Vec::new();
            encode_server(encoding, &frame, &mut bytes).unwrap();
            prop_assert_eq!(&decode_server(encoding, &bytes).unwrap(), &frame);
        }
    }
}
