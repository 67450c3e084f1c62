//! Which form of `/metrics` a client wants, from its Accept header (RFC 9110, 12.5.1).

/// The forms of `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The predecessor's JSON.
    Json,
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus text 0.0.4, for scrapers that know nothing newer.
    Prometheus,
}

const OFFERED: [(Form, &str, &str); 3] = [
    (Form::Json, "application", "json"),
    (Form::OpenMetrics, "application", "openmetrics-text"),
    (Form::Prometheus, "text", "plain"),
];

/// The form with the best quality; then the one that was named most exactly; then the first of those above. Who accepts
/// none of them gets JSON all the same.
pub(crate) fn negotiate(accept: &str) -> Form {
    let mut best = (Form::Json, (0, 0));
    for (form, kind, subtype) in OFFERED {
        let rank = quality(accept, kind, subtype);
        if rank.0 > 0 && rank > best.1 {
            best = (form, rank);
        }
    }
    best.0
}

/// Thousandths of quality, and how exactly the type was named: 0 `*/*`, 1 `text/*`, 2 `text/plain`.
fn quality(accept: &str, kind: &str, subtype: &str) -> (u16, u8) {
    let mut best: Option<(u8, u16)> = None;
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let Some((k, s)) = parts.next().and_then(|media| media.split_once('/')) else { continue };
        let exactness = match (k, s) {
            ("*", "*") => 0,
            (k, "*") if k.eq_ignore_ascii_case(kind) => 1,
            (k, s) if k.eq_ignore_ascii_case(kind) && s.eq_ignore_ascii_case(subtype) => 2,
            _ => continue,
        };
        let q = parts.find_map(|parameter| parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q=")));
        let q = q.and_then(|q| q.parse::<f32>().ok()).unwrap_or(1.0).clamp(0.0, 1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1,000")]
        let q = (q * 1_000.0).round() as u16;
        // The most exact range decides; of several of the same exactness (versions of a format) the best.
        best = best.max(Some((exactness, q)));
    }
    best.map_or((0, 0), |(exactness, q)| (q, exactness))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_gets_what_it_wants() {
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let cases = [
            ("", Form::Json),
            ("*/*", Form::Json),
            ("application/json", Form::Json),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", Form::Json),
            ("application/json, text/plain, */*", Form::Json),
            (prometheus_3, Form::OpenMetrics),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", Form::OpenMetrics),
            ("application/openmetrics-text, */*", Form::OpenMetrics),
            ("text/plain;version=0.0.4;q=1,*/*;q=0.1", Form::Prometheus),
            ("text/plain;version=0.0.4", Form::Prometheus),
            ("application/openmetrics-text;q=0, */*", Form::Json),
            ("application/*;q=0.5, text/plain;q=0.4", Form::Json),
            ("image/png", Form::Json),
            ("nonsense;;,/", Form::Json),
        ];
        for (accept, form) in cases {
            assert_eq!(negotiate(accept), form, "{accept}");
        }
    }
}
