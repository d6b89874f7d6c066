//! A real WebSocket library at either end, with the gateway between them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Fixture, PATIENCE, until};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use tungstenite::handshake::server::{Request, Response};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

/// More than any buffer on the way.
const BIG: usize = 24 << 20;

fn config() -> WebSocketConfig {
    WebSocketConfig::default().max_message_size(Some(2 * BIG)).max_frame_size(Some(2 * BIG))
}

/// What an instance saw of a connection.
#[derive(Debug)]
struct Saw {
    path: String,
    protocol: Option<String>,
    /// How its last message came, or why there was none.
    closed: String,
}

/// An instance that sends every message back, and chooses the subprotocol `echo.v2`.
#[allow(clippy::result_large_err, reason = "the library's callback")]
fn echo() -> (SocketAddr, Receiver<Saw>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (send, saw) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let send = send.clone();
            std::thread::spawn(move || {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let (mut path, mut protocol) = (String::new(), None);
                let callback = |request: &Request, mut response: Response| {
                    path = request.uri().to_string();
                    protocol = request
                        .headers()
                        .get("sec-websocket-protocol")
                        .map(|value| value.to_str().unwrap().to_owned());
                    response.headers_mut().insert("sec-websocket-protocol", "echo.v2".parse().unwrap());
                    Ok(response)
                };
                let mut socket = tungstenite::accept_hdr_with_config(stream, callback, Some(config()))
                    .expect("a handshake");
                let closed = loop {
                    match socket.read() {
                        Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                            socket.send(message).unwrap();
                        }
                        Ok(_) => {}
                        Err(error) => break error.to_string(),
                    }
                };
                let _ = send.send(Saw { path, protocol, closed });
            });
        }
    });
    (address, saw)
}

fn connect(f: &Fixture) -> WebSocket<TcpStream> {
    use tungstenite::client::IntoClientRequest;
    let stream = TcpStream::connect(f.gateway.local_addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request =
        format!("ws://{}/api/socket?room=1", f.gateway.local_addr()).into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "echo.v1, echo.v2".parse().unwrap());
    let (socket, response) =
        tungstenite::client::client_with_config(request, stream, Some(config())).unwrap();
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()["sec-websocket-protocol"], "echo.v2");
    socket
}

#[test]
fn messages_of_any_size_go_both_ways_and_the_close_is_shaken_hands_on() {
    let (address, saw) = echo();
    let f = Fixture::new(&[address]);
    let mut client = connect(&f);
    client.send(Message::text("grüße")).unwrap();
    assert_eq!(client.read().unwrap(), Message::text("grüße"));
    client.send(Message::Ping(b"are you there"[..].into())).unwrap();
    assert_eq!(client.read().unwrap(), Message::Pong(b"are you there"[..].into()));
    let big: Vec<u8> = (0..BIG).map(|n| (n % 251) as u8).collect();
    client.send(Message::binary(big.clone())).unwrap();
    assert!(client.read().unwrap().into_data() == big, "the big message came back otherwise");
    let frame = CloseFrame { code: CloseCode::Away, reason: "bye".into() };
    client.close(Some(frame.clone())).unwrap();
    // The instance says the same, and only then is the connection gone.
    assert_eq!(client.read().unwrap(), Message::Close(Some(frame)));
    assert!(matches!(client.read(), Err(Error::ConnectionClosed)));
    let saw = saw.recv_timeout(PATIENCE).unwrap();
    assert_eq!((saw.path.as_str(), saw.protocol.as_deref()), ("/socket?room=1", Some("echo.v1, echo.v2")));
    assert!(saw.closed.contains("closed normally"), "{}", saw.closed);
    drop(client);
    until("the connection is counted out", || f.gateway.connections() == 0);
}

#[test]
fn a_client_that_vanishes_is_told_to_the_instance() {
    let (address, saw) = echo();
    let f = Fixture::new(&[address]);
    let mut client = connect(&f);
    client.send(Message::text("hello")).unwrap();
    client.read().unwrap();
    drop(client);
    let saw = saw.recv_timeout(PATIENCE).unwrap();
    assert!(saw.closed.contains("without closing handshake"), "{}", saw.closed);
    until("the connection is counted out", || f.gateway.connections() == 0);
}

#[test]
fn sockets_are_beyond_the_deadline_of_a_request() {
    let (address, _saw) = echo();
    let f =
        Fixture::with(&[address], |c| c.live.body_timeout = common::BLINK, |r| r.timeout = Some(200), |_| {});
    let mut client = connect(&f);
    // Others come and go meanwhile, each longer than the timeout of a request.
    for n in 0..3 {
        client.get_ref().set_read_timeout(Some(common::BLINK * 3)).unwrap();
        assert!(matches!(client.read(), Err(Error::Io(_))), "nothing comes, and nothing closes");
        client.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        client.send(Message::text(format!("{n}"))).unwrap();
        assert_eq!(client.read().unwrap(), Message::text(format!("{n}")));
    }
}
