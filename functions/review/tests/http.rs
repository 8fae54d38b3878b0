//! The client against a server that stands in for the check.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use millrace_aws::http::Service;
use millrace_core::port::{Error, Kind, Post as _, Reply};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

const QUESTION: &str = r#"{"amount":2500.0}"#;

/// Asks a server that answers with these bytes, or hears and says nothing: the answer, and what the server heard.
fn ask(answer: Option<&[u8]>) -> (Result<Reply, Error>, String) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/check?token=s3cret", server.local_addr().unwrap());
    let answer = answer.map(<[u8]>::to_vec);
    let heard = thread::spawn(move || {
        let (mut client, _) = server.accept().unwrap();
        let (mut heard, mut room) = (Vec::new(), [0; 1024]);
        while !heard.ends_with(QUESTION.as_bytes()) {
            let count = client.read(&mut room).unwrap();
            heard.extend_from_slice(room.get(..count).unwrap());
        }
        match answer {
            Some(answer) => client.write_all(&answer).unwrap(),
            None => while client.read(&mut room).is_ok_and(|count| count > 0) {}, // until it hangs up
        }
        String::from_utf8(heard).unwrap()
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let service = Service::new(url);
    let answer = runtime.block_on(service.post("ch_1 / Zoë", QUESTION));
    drop((service, runtime));
    (answer, heard.join().unwrap())
}

fn page(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[test]
fn a_question_is_json_under_a_key_of_its_own() {
    let (answer, heard) = ask(Some(&page("200 OK", r#"{"decision":"approve"}"#)));
    let Reply { status, body } = answer.unwrap();
    assert_eq!((status, body.as_slice()), (200, br#"{"decision":"approve"}"#.as_slice()));
    assert!(heard.starts_with("POST /check?token=s3cret HTTP/1.1\r\n"), "{heard}");
    assert!(heard.contains("content-type: application/json\r\n"), "{heard}");
    let key =
        |heard: &str| heard.lines().find(|line| line.starts_with("idempotency-key: ")).unwrap().to_owned();
    let again = ask(Some(&page("200 OK", "{}"))).1;
    assert_eq!(key(&heard), key(&again), "the same question again has the same key");
    assert!(key(&heard).is_ascii());
}

#[test]
fn what_is_no_decision_is_an_answer_and_is_not_followed() {
    for status in ["302 Found\r\nLocation: http://169.254.169.254/", "400 Bad Request", "404 Not Found"] {
        let (answer, _) = ask(Some(&page(status, "ann@example.com")));
        assert_eq!(answer.unwrap().status.to_string(), status.split(' ').next().unwrap());
    }
}

#[test]
fn what_may_be_answered_the_next_time_is_an_error_that_repeats_nothing() {
    let cut = page("200 OK", r#"{"decision":"approve"}"#);
    let cut = cut.get(..cut.len() - 5).unwrap();
    for (answer, told, kind) in [
        (Some(page("429 Too Many Requests", "ann@example.com")), "it answers 429", Kind::Throttled),
        (Some(page("500 Oops", "ann@example.com")), "it answers 500", Kind::Transient),
        (Some(page("503 Oops", "")), "it answers 503", Kind::Transient),
        (Some(cut.to_vec()), "the answer broke off", Kind::Transient),
        (
            Some(b"nonsense\r\n\r\n".to_vec()),
            "no answer: the server cannot be reached, or hung up",
            Kind::Transient,
        ),
        (None, "no answer within 3 s", Kind::Transient),
    ] {
        let error = ask(answer.as_deref()).0.unwrap_err();
        assert_eq!((error.chain(), error.kind), (format!("ask the service: {told}"), kind));
    }
}
