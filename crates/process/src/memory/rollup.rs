//! `smaps_rollup`: what the memory of a process is made of. The kernel walks all its pages for it.

use std::fs::File;
use std::io::{self, Read};

/// What the memory of a process, or of several together, is made of; bytes. The names are the kernel's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "proc(5) has them: smaps")]
pub struct Rollup {
    pub rss: u64,
    pub pss: u64,
    /// 0 where the kernel does not tell (before 5.15 or so).
    pub pss_anon: u64,
    pub shared_clean: u64,
    pub shared_dirty: u64,
    pub private_clean: u64,
    pub private_dirty: u64,
    pub anonymous: u64,
    pub swap: u64,
}

/// Why the memory of a process could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It has ended meanwhile.
    Gone,
    /// We may not, or the kernel does not tell.
    Denied,
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        let is_gone = error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH);
        if is_gone { Self::Gone } else { Self::Denied }
    }
}

impl Rollup {
    /// Of one process.
    ///
    /// # Errors
    /// [`Unread`]
    pub fn read(pid: i32) -> Result<Self, Unread> {
        // The text has about 25 lines of 30 bytes.
        let mut buffer = [0; 4_096];
        let mut file = File::open(format!("/proc/{pid}/smaps_rollup"))?;
        let mut length = 0;
        loop {
            match file.read(&mut buffer[length..])? {
                0 => break,
                more => length += more,
            }
        }
        let text = std::str::from_utf8(&buffer[..length]).map_err(|_| Unread::Denied)?;
        // One that has just ended has no memory left to tell of.
        if text.is_empty() { Err(Unread::Gone) } else { Self::parse(text).ok_or(Unread::Denied) }
    }

    fn parse(text: &str) -> Option<Self> {
        let (mut found, mut has_pss) = (Self::default(), false);
        for line in text.lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            let field = match name {
                "Rss" => &mut found.rss,
                "Pss" => {
                    has_pss = true;
                    &mut found.pss
                }
                "Pss_Anon" => &mut found.pss_anon,
                "Shared_Clean" => &mut found.shared_clean,
                "Shared_Dirty" => &mut found.shared_dirty,
                "Private_Clean" => &mut found.private_clean,
                "Private_Dirty" => &mut found.private_dirty,
                "Anonymous" => &mut found.anonymous,
                "Swap" => &mut found.swap,
                _ => continue,
            };
            *field = value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024;
        }
        has_pss.then_some(found)
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            rss: self.rss + other.rss,
            pss: self.pss + other.pss,
            pss_anon: self.pss_anon + other.pss_anon,
            shared_clean: self.shared_clean + other.shared_clean,
            shared_dirty: self.shared_dirty + other.shared_dirty,
            private_clean: self.private_clean + other.private_clean,
            private_dirty: self.private_dirty + other.private_dirty,
            anonymous: self.anonymous + other.anonymous,
            swap: self.swap + other.swap,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_text_is_read() {
        let text = "55e5df65c000-7ffcbb65f000 ---p 00000000 00:00 0    [rollup]\nRss:    1748 kB\nPss:     363 kB\n\
                    Pss_Dirty:   112 kB\nShared_Clean:  1600 kB\nPrivate_Dirty:   112 kB\nAnonymous: 112 kB\n";
        let rollup = Rollup::parse(text).unwrap();
        assert_eq!((rollup.rss, rollup.pss, rollup.anonymous), (1748 * 1_024, 363 * 1_024, 112 * 1_024));
        assert_eq!(rollup.plus(rollup).pss, 2 * 363 * 1_024);
        assert_eq!(Rollup::parse(""), None);
        assert_eq!(Rollup::parse("Pss: much\n"), None);
        assert_eq!(Rollup::read(i32::MAX), Err(Unread::Gone));
    }
}
