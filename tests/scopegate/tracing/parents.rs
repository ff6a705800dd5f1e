//! What a request says of the trace that it is part of, and which traces are sampled.

use super::{PARENT, TRACE, collector, hex, parts, policy, spans, token, wait_for_spans};
use crate::harness::{Connection, Gateway, wait_for};

#[test]
fn a_traceparent_that_is_none_begins_a_trace_and_takes_no_state_along() {
    let collector = collector();
    let gateway = Gateway::start(&policy(collector.address, ""));
    let bearer = format!("Bearer {}", token());
    let long = format!("00-{TRACE}-{PARENT}-01{}", "-0".repeat(2000));
    for (count, hostile) in (1..).zip([
        "00",
        "",
        &format!("ff-{TRACE}-{PARENT}-01"),
        &format!("00-{}-{PARENT}-01", "0".repeat(32)),
        &format!("00-{TRACE}-{}-01", "0".repeat(16)),
        &format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
        &format!("00-{TRACE}-{PARENT}-0g"),
        &long,
    ]) {
        let headers = [("Authorization", bearer.as_str()), ("traceparent", hostile), ("tracestate", "vendor=1")];
        assert_eq!(gateway.ask("GET", "/data/acme/x", &headers).status, 200, "{hostile}");
        let span = wait_for_spans(&collector, count).remove(count - 1);
        let sent = gateway.upstream.last();
        let (trace, parent, flags) = parts(sent.all("traceparent")[0]);
        assert_eq!(
            (hex(&span.trace_id), hex(&span.span_id), flags.as_str()),
            (trace.clone(), parent, "01"),
            "{hostile}"
        );
        assert_ne!(trace, TRACE);
        assert_eq!((hex(&span.parent_span_id).as_str(), span.trace_state.as_str()), ("", ""), "{hostile}");
        assert_eq!(sent.all("tracestate"), Vec::<&str>::new(), "{hostile}");
    }
    // A state that cannot be read, or is long, is the upstream's to read.
    let good = format!("00-{TRACE}-{PARENT}-01");
    for (count, state) in (9..).zip(["vendor", &format!("v={}", "x".repeat(600))]) {
        let headers = [("Authorization", bearer.as_str()), ("traceparent", &good), ("tracestate", state)];
        assert_eq!(gateway.ask("GET", "/data/acme/x", &headers).status, 200);
        let span = wait_for_spans(&collector, count).remove(count - 1);
        assert_eq!((hex(&span.trace_id).as_str(), span.trace_state.as_str()), (TRACE, ""), "{state}");
        assert_eq!(gateway.upstream.last().all("tracestate"), [state]);
    }
}

#[test]
fn the_parent_decides_whether_a_request_is_sampled_if_it_is_followed() {
    let (sampled, unsampled) = (format!("00-{TRACE}-{PARENT}-01"), format!("00-{TRACE}-{PARENT}-00"));
    let trusted = "trusted_proxies: [127.0.0.1]";
    for (keys, more, traceparent, goes_on, takes) in [
        ("sample: 0", "", &sampled, "01", true),
        ("sample: 1", "", &unsampled, "00", false),
        ("sample: 0, follow_parents: trusted_proxies", "", &sampled, "00", false),
        ("sample: 0, follow_parents: trusted_proxies", trusted, &sampled, "01", true),
        ("sample: 0, follow_parents: never", trusted, &sampled, "00", false),
        ("sample: 1, follow_parents: never", "", &unsampled, "01", true),
    ] {
        let collector = collector();
        let mut gateway = Gateway::start(&(policy(collector.address, keys) + more));
        let bearer = format!("Bearer {}", token());
        let headers = [("Authorization", bearer.as_str()), ("traceparent", traceparent)];
        assert_eq!(gateway.ask("GET", "/data/acme/x", &headers).status, 200, "{keys}");
        let (trace, parent, flags) = parts(gateway.upstream.last().all("traceparent")[0]);
        assert_eq!((trace.as_str(), flags.as_str()), (TRACE, goes_on), "{keys}");
        assert_ne!(parent, PARENT);
        // What waits is sent before the process ends.
        gateway.signal("TERM");
        wait_for("the end", || (!gateway.is_running()).then_some(()));
        assert_eq!(spans(&collector).len(), usize::from(takes), "{keys} {more}");
    }
}

#[test]
fn a_share_of_the_traces_that_begin_here_is_sampled_and_said_to_the_upstream() {
    const ASKED: usize = 400;
    let collector = collector();
    let gateway = Gateway::start(&policy(collector.address, "sample: 0.25"));
    let token = token();
    let mut connection = Connection::open(gateway.address);
    for _ in 0..ASKED {
        let head = format!("GET /data/acme/x HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer {token}\r\n\r\n");
        connection.write(head.as_bytes());
        assert_eq!(connection.read_response().unwrap().status, 200);
    }
    let told = gateway.upstream.seen().into_iter().map(|seen| parts(seen.all("traceparent")[0]));
    let mut sampled: Vec<_> =
        told.filter(|(_, _, flags)| flags == "01").map(|(trace, span, _)| (trace, span)).collect();
    // Six standard deviations.
    assert!((48..=152).contains(&sampled.len()), "{} of {ASKED}", sampled.len());
    let spans = wait_for_spans(&collector, sampled.len());
    let mut collected: Vec<_> = spans.iter().map(|span| (hex(&span.trace_id), hex(&span.span_id))).collect();
    sampled.sort();
    collected.sort();
    assert_eq!(collected, sampled);
    assert_eq!(gateway.metric("scopegate_spans_exported_total "), Some(sampled.len() as f64));
}
