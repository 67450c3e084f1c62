//! How much time is lost to a shortage of memory (PSI: the kernel's Documentation/accounting/psi.rst).

use super::cgroup;

/// Shares of time, percent, within the last so many seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stall {
    /// Ten seconds.
    pub avg10: f64,
    /// A minute.
    pub avg60: f64,
    /// Five minutes.
    pub avg300: f64,
}

/// The pressure on memory.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// At least one task waited for memory.
    pub some: Stall,
    /// All tasks waited for memory.
    pub full: Stall,
    /// Of our own cgroup, not of the host.
    pub of_cgroup: bool,
}

/// The pressure on our cgroup, or else on the host; `None` where the kernel does not tell.
pub fn pressure() -> Option<Pressure> {
    let of_cgroup = cgroup::own_v2_folder().and_then(|folder| read(&folder.join("memory.pressure")));
    let of_cgroup = of_cgroup.map(|pressure| Pressure { of_cgroup: true, ..pressure });
    of_cgroup.or_else(|| read("/proc/pressure/memory".as_ref()))
}

fn read(path: &std::path::Path) -> Option<Pressure> {
    parse(&std::fs::read_to_string(path).ok()?)
}

fn parse(text: &str) -> Option<Pressure> {
    let line = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let average = |name: &str| {
            let word = line.split_ascii_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
            word.parse::<f64>().ok().filter(|share| share.is_finite())
        };
        Some(Stall { avg10: average("avg10")?, avg60: average("avg60")?, avg300: average("avg300")? })
    };
    Some(Pressure { some: line("some")?, full: line("full").unwrap_or_default(), of_cgroup: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lines_are_read_and_nonsense_is_nothing() {
        let text =
            "some avg10=1.50 avg60=0.25 avg300=0.00 total=1238703\nfull avg10=0.75 avg60=0.00 avg300=0.00 total=7\n";
        let pressure = parse(text).unwrap();
        assert_eq!((pressure.some.avg10, pressure.some.avg60, pressure.full.avg10), (1.5, 0.25, 0.75));
        for bad in ["", "some", "some avg10=x avg60=0 avg300=0", "some avg10=NaN avg60=0 avg300=0"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
