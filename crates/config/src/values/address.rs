//! Where something is reached: `http://` URLs of probes, `host:port`, and the addresses that we listen on.

use std::net::SocketAddr;

use crate::fault::Report;
use crate::field::{Field, quote};
use crate::tree::Value;

/// An `http://host[:port][/path]` URL for a probe, as it was written.
pub(crate) fn read_url(field: &Field<'_>, report: &mut Report) -> Option<String> {
    let text = field.filled_text(report)?;
    let Err((message, hint)) = check_url(text) else { return Some(text.to_owned()) };
    field.fault(report, message).hint(hint);
    None
}

fn check_url(text: &str) -> Result<(), (String, &'static str)> {
    const EXAMPLE: &str = "write for example \"http://127.0.0.1:8080/healthz\"";
    let shown = quote(text);
    if text.starts_with("https://") {
        let hint = "a probe looks at a program on this machine: ask it over http://, or use `tcp`";
        return Err((format!("{shown} is https, and probes speak plain http only"), hint));
    }
    let Some(rest) = text.strip_prefix("http://") else {
        return Err((format!("{shown} is not an http:// URL"), EXAMPLE));
    };
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err((format!("{shown} has white space"), EXAMPLE));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err((format!("{shown} has a user name"), "probes send no credentials"));
    }
    let good = match authority.rsplit_once(':').filter(|_| !authority.ends_with(']')) {
        Some((host, port)) => good_host(host) && good_port(port),
        None => good_host(authority),
    };
    if good { Ok(()) } else { Err((format!("{shown} has no good host and port"), EXAMPLE)) }
}

/// A `host:port`, as it was written.
pub(crate) fn read_host_port(field: &Field<'_>, report: &mut Report) -> Option<String> {
    let text = field.filled_text(report)?;
    if text.rsplit_once(':').is_some_and(|(host, port)| good_host(host) && good_port(port)) {
        return Some(text.to_owned());
    }
    field
        .fault(report, format!("{} is not host:port", quote(text)))
        .hint("write for example \"127.0.0.1:5432\" or \"[::1]:5432\"");
    None
}

fn good_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// A name, an IPv4 address, or an IPv6 address in brackets.
fn good_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return inner.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let good = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    !host.is_empty() && host.chars().all(good)
}

/// Names that a Host header may have: a list, or, from the environment, a text with commas.
pub(crate) fn read_hosts(field: &Field<'_>, report: &mut Report) -> Option<Vec<String>> {
    if let Value::Loose(text) = &field.node.value {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let read: Vec<_> = names.map(|name| read_host(name, field, report)).collect();
        return read.into_iter().collect();
    }
    let items = field.list(report, "a list of host names")?;
    let mut read_item = |item: &Field<'_>| read_host(item.filled_text(report)?.trim(), item, report);
    // All of them, so that every fault is told.
    let read: Vec<_> = items.iter().map(&mut read_item).collect();
    read.into_iter().collect()
}

/// A Host header has no scheme, and no path.
fn read_host(name: &str, field: &Field<'_>, report: &mut Report) -> Option<String> {
    let good = match name.rsplit_once(':').filter(|_| !name.ends_with(']')) {
        Some((host, port)) => good_host(host) && good_port(port),
        None => good_host(name),
    };
    if good {
        return Some(name.to_ascii_lowercase());
    }
    field
        .fault(report, format!("{} is not the name of a host", quote(name)))
        .hint("write what browsers send as Host, for example \"ops.example.org\" or \"ops.example.org:8443\"");
    None
}

/// An address to listen on: an IP address and a port.
pub(crate) fn read_listen(field: &Field<'_>, report: &mut Report) -> Option<SocketAddr> {
    let text = field.filled_text(report)?;
    if let Ok(address) = text.trim().parse() {
        return Some(address);
    }
    let hint = match text.trim().rsplit_once(':') {
        Some(("localhost", port)) if port.parse::<u16>().is_ok() => format!("write \"127.0.0.1:{port}\""),
        Some(("" | "*", port)) if port.parse::<u16>().is_ok() => {
            format!("write \"127.0.0.1:{port}\", or \"0.0.0.0:{port}\" for all addresses")
        }
        None if text.trim().parse::<u16>().is_ok() => format!("write \"127.0.0.1:{}\"", text.trim()),
        _ => "write for example \"127.0.0.1:3001\" or \"[::1]:3001\"; names are not looked up here".to_owned(),
    };
    field.fault(report, format!("{} is not an IP address with a port", quote(text))).hint(hint);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_probes_are_plain_http_with_a_host() {
        for good in ["http://localhost", "http://127.0.0.1:80/x?y", "http://[::1]:8080/", "http://db.internal/"] {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        for bad in
            ["https://a/", "ftp://a", "http://", "http://:80", "http://a:0", "http://a:x", "http://u@a", "http://a b"]
        {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }
}
