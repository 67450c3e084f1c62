//! Users and groups by name, from the system's database (files, LDAP, whatever nsswitch.conf says).

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;

use crate::exec::Credentials;

/// Why an identity cannot be taken on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error("find user `{0}`: it is not in the user database; create it, or correct `user`")]
    UnknownUser(String),
    #[error("find group `{0}`: it is not in the group database; create it, or correct `group`")]
    UnknownGroup(String),
}

/// A user of the database, or one that only has a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub uid: u32,
    pub gid: u32,
    /// Name and home, if it is in the database.
    pub entry: Option<(CString, CString)>,
}

/// Enough for any sane entry; a group of 10,000 members has 100 KB.
const BUFFER: usize = 256 * 1024;

fn user(text: &str) -> Result<User, IdentityError> {
    let unknown = || IdentityError::UnknownUser(text.to_owned());
    let name = CString::new(text).map_err(|_| unknown())?;
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut buffer: Vec<libc::c_char> = vec![0; BUFFER];
    let mut found = std::ptr::null_mut();
    let number = text.parse::<u32>().ok();
    // SAFETY: all pointers are valid for the call; `found` is null or points to `entry`, whose texts are in `buffer`.
    let entry = unsafe {
        let (entry, texts) = (entry.as_mut_ptr(), buffer.as_mut_ptr());
        match number {
            Some(uid) => libc::getpwuid_r(uid, entry, texts, BUFFER, &raw mut found),
            None => libc::getpwnam_r(name.as_ptr(), entry, texts, BUFFER, &raw mut found),
        };
        found.as_ref()
    };
    match (entry, number) {
        (Some(entry), _) => {
            // SAFETY: the database fills both in with terminated texts inside `buffer`, which is still alive.
            let texts = unsafe { (CStr::from_ptr(entry.pw_name).to_owned(), CStr::from_ptr(entry.pw_dir).to_owned()) };
            Ok(User { uid: entry.pw_uid, gid: entry.pw_gid, entry: Some(texts) })
        }
        (None, Some(uid)) => Ok(User { uid, gid: uid, entry: None }),
        (None, None) => Err(unknown()),
    }
}

fn group(text: &str) -> Result<u32, IdentityError> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let unknown = || IdentityError::UnknownGroup(text.to_owned());
    let name = CString::new(text).map_err(|_| unknown())?;
    let mut entry = MaybeUninit::<libc::group>::uninit();
    let mut buffer: Vec<libc::c_char> = vec![0; BUFFER];
    let mut found = std::ptr::null_mut();
    // SAFETY: all pointers are valid for the call; `found` is null or points to `entry`.
    unsafe {
        libc::getgrnam_r(name.as_ptr(), entry.as_mut_ptr(), buffer.as_mut_ptr(), BUFFER, &raw mut found);
        found.as_ref().map(|entry| entry.gr_gid).ok_or_else(unknown)
    }
}

/// The supplementary groups of a user, `gid` included.
fn groups_of(name: &CStr, gid: u32) -> Vec<u32> {
    let mut groups = vec![0; 256];
    loop {
        let mut count = libc::c_int::try_from(groups.len()).unwrap_or(libc::c_int::MAX);
        // SAFETY: the buffer has room for `count` groups, and `count` is updated to how many there are.
        let fits = unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &raw mut count) } >= 0;
        let count = usize::try_from(count).unwrap_or(0);
        if fits || count <= groups.len() {
            groups.truncate(count);
            return groups;
        }
        groups.resize(count, 0);
    }
}

/// What has to be taken on for `user` and `group`; `None` where that is what we are already.
pub(crate) fn resolve(
    user_text: Option<&str>,
    group_text: Option<&str>,
) -> Result<(Option<Credentials>, Option<User>), IdentityError> {
    if user_text.is_none() && group_text.is_none() {
        return Ok((None, None));
    }
    let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let user = user_text.map(user).transpose()?;
    let group = group_text.map(group).transpose()?;
    let uid = user.as_ref().map_or(own.0, |user| user.uid);
    let gid = group.or(user.as_ref().map(|user| user.gid)).unwrap_or(own.1);
    if (uid, gid) == own {
        return Ok((None, user));
    }
    let groups = match &user {
        Some(User { entry: Some((name, _)), .. }) => groups_of(name, gid),
        _ => vec![gid],
    };
    Ok((Some(Credentials { uid, gid, groups }), user))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_by_name_and_number() {
        for text in ["root", "0"] {
            let root = user(text).unwrap();
            assert_eq!((root.uid, root.entry.unwrap().0.to_str().unwrap()), (0, "root"));
        }
        assert_eq!(group("root"), Ok(0));
    }

    #[test]
    fn a_number_without_an_entry_is_taken_as_it_is() {
        assert_eq!(user("3999999").unwrap(), User { uid: 3_999_999, gid: 3_999_999, entry: None });
    }

    #[test]
    fn unknown_names_say_what_to_do() {
        let error = user("no-such-user").unwrap_err();
        assert_eq!(
            error.to_string(),
            "find user `no-such-user`: it is not in the user database; create it, or correct `user`"
        );
        assert_eq!(group("no-such-group"), Err(IdentityError::UnknownGroup("no-such-group".to_owned())));
    }
}
