//! Expressions of time: IANA zones and crontab schedules.

use std::fs;
use std::path::Path;

use chrono_tz::{TZ_VARIANTS, Tz};
use werkpilot_core::schedule::Schedule;

use crate::fault::Report;
use crate::field::{Field, quote};
use werkpilot_core::suggest;

/// An IANA zone, as it was written.
pub(crate) fn read_zone(field: &Field<'_>, report: &mut Report) -> Option<Tz> {
    let text = field.filled_text(report)?;
    if let Ok(zone) = text.trim().parse() {
        return Some(zone);
    }
    let city = text.trim().replace(' ', "_");
    let of_city = TZ_VARIANTS
        .iter()
        .map(|zone| zone.name())
        .find(|name| name.rsplit_once('/').is_some_and(|(_, last)| last.eq_ignore_ascii_case(&city)));
    let hint = match of_city.or_else(|| suggest::closest(text, TZ_VARIANTS.iter().map(|zone| zone.name()))) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "write an IANA name such as \"Europe/Zurich\" or \"UTC\"".to_owned(),
    };
    field.fault(report, format!("{} is no time zone", quote(text))).hint(hint);
    None
}

/// A schedule in the crontab dialect, as it was written.
pub(crate) fn read_schedule(field: &Field<'_>, zone: Tz, report: &mut Report) -> Option<String> {
    let text = field.filled_text(report)?;
    let known = (text.to_owned(), zone);
    if !report.good_schedules.contains(&known) {
        if let Err(error) = Schedule::parse(text, zone.name()) {
            field.fault(report, error.to_string()).hint(error.hint());
            return None;
        }
        report.good_schedules.insert(known);
    }
    Some(text.to_owned())
}

/// The zone of the host: `$TZ` as the caller gives it, else what `/etc/localtime` links to, else `/etc/timezone`.
/// `None` if nothing names a zone that we know.
pub(crate) fn host_zone(tz_variable: Option<&str>, etc: &Path) -> Option<Tz> {
    let variable = tz_variable.map(|text| text.trim_start_matches(':').to_owned());
    let link = || {
        let target = fs::read_link(etc.join("localtime")).ok()?;
        let target = target.to_str()?;
        target.split_once("zoneinfo/").map(|(_, name)| name.to_owned())
    };
    let file = || fs::read_to_string(etc.join("timezone")).ok().map(|text| text.trim().to_owned());
    let known = |name: Option<String>| name.and_then(|name| name.parse().ok());
    known(variable).or_else(|| known(link())).or_else(|| known(file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_zone_is_the_variable_then_the_link_then_the_file() {
        let etc = tempfile::tempdir().unwrap();
        assert_eq!(host_zone(None, etc.path()), None);
        fs::write(etc.path().join("timezone"), "Asia/Tokyo\n").unwrap();
        assert_eq!(host_zone(None, etc.path()), Some(Tz::Asia__Tokyo));
        std::os::unix::fs::symlink("/usr/share/zoneinfo/Europe/Zurich", etc.path().join("localtime")).unwrap();
        assert_eq!(host_zone(None, etc.path()), Some(Tz::Europe__Zurich));
        assert_eq!(host_zone(Some(":America/New_York"), etc.path()), Some(Tz::America__New_York));
        assert_eq!(host_zone(Some("nonsense"), etc.path()), Some(Tz::Europe__Zurich));
    }
}
