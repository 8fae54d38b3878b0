//! The client against a server that stands in for a feed.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use millrace_aws::http::Http;
use millrace_core::port::Error;
use millrace_pull::{Answer, Fetch as _, PAGE_MAX};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

/// Asks a server that answers one request with these bytes: the answer, and what the server heard.
fn ask(answer: Vec<u8>, header: Option<(&str, &str)>) -> (Result<Answer, Error>, String) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x?after=1", server.local_addr().unwrap());
    let heard = thread::spawn(move || {
        let (mut client, _) = server.accept().unwrap();
        let (mut heard, mut room) = (Vec::new(), [0; 1024]);
        while !heard.ends_with(b"\r\n\r\n") {
            let count = client.read(&mut room).unwrap();
            heard.extend_from_slice(room.get(..count).unwrap());
        }
        let _ = client.write_all(&answer); // who has heard enough hangs up
        String::from_utf8(heard).unwrap()
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(async { Http::default().get(&url, header).await });
    drop(runtime);
    (answer, heard.join().unwrap())
}

fn page(head: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[test]
fn a_page_comes_with_its_status_and_headers() {
    let (answer, heard) =
        ask(page("200 OK\r\nX-RateLimit-Remaining: 7", b"[]"), Some(("Authorization", "Bearer t0ken")));
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"[]".as_slice()));
    assert!(answer.headers.contains(&("x-ratelimit-remaining".to_owned(), "7".to_owned())));
    assert!(
        heard.starts_with("GET /x?after=1 HTTP/1.1\r\n") && heard.contains("authorization: Bearer t0ken\r\n"),
        "{heard}"
    );
}

#[test]
fn a_redirect_is_an_answer_and_is_not_followed() {
    let (answer, _) = ask(
        page("302 Found\r\nLocation: http://169.254.169.254/", b""),
        Some(("Authorization", "Bearer t0ken")),
    );
    assert_eq!(answer.unwrap().status, 302);
}

#[test]
fn what_breaks_off_or_is_too_large_is_no_page() {
    let mut short = page("200 OK", b"[1,2,3]");
    short.truncate(short.len() - 3);
    for answer in [short, page("200 OK", &vec![b' '; PAGE_MAX + 1]), b"nonsense\r\n\r\n".to_vec(), Vec::new()]
    {
        let (answer, _) = ask(answer, Some(("Authorization", "Bearer t0ken")));
        let told = answer.unwrap_err().chain();
        assert!(told.starts_with("ask the feed: ") && !told.contains("t0ken"), "{told}");
    }
}

#[test]
fn a_token_that_is_no_header_is_told_without_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = |name: &'static str, value: &'static str| {
        runtime.block_on(async {
            Http::default().get("http://127.0.0.1:1/", Some((name, value))).await.unwrap_err().chain()
        })
    };
    assert_eq!(
        ask("Authorization", "Bearer t0\nken"),
        "ask the feed: the header's value, with the token in it, has a sign in it that HTTP does not take"
    );
    assert_eq!(
        ask("Author ization", "x"),
        "ask the feed: the header's name has a sign in it that HTTP does not take"
    );
}
