//! The directories of state: made where they are missing, and refused where somebody else could put a file
//! into them. After a crash a netkeel that runs as root executes their content.

use std::fs::Metadata;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::{fs, io};

use crate::store::error::{OF_ROOT, failed};
use crate::store::{Store, log};
use netkeel_core::error::{Error, ErrorKind};

impl Store {
    /// Makes the directories.
    pub(crate) fn make(&self) -> Result<(), Error> {
        let state = Some((&self.state, 0o700)).filter(|(state, _)| **state != self.run);
        // Everybody may pass through: one of the documents' directories is below it.
        for (directory, mode) in [Some((&self.run, 0o711)), state].into_iter().flatten() {
            match fs::symlink_metadata(directory) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let made = fs::DirBuilder::new().recursive(true).mode(mode).create(directory);
                    made.map_err(|error| failed(&error, directory))?;
                    log::sync_directory(directory)?;
                }
                _ => {}
            }
            ours(directory)?;
            reached_safely(directory)?;
        }
        Ok(())
    }
}

/// The directory itself belongs to this user, and nobody else can write it.
fn ours(directory: &Path) -> Result<(), Error> {
    let found = fs::symlink_metadata(directory).map_err(|error| failed(&error, directory))?;
    let user = nix::unistd::geteuid().as_raw();
    if found.is_dir() && found.uid() == user && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    let message = format!(
        "{} must be a directory of the user that runs netkeel, and only its to write",
        directory.display()
    );
    let error = Error::new(ErrorKind::Refused, message);
    Err(match found.uid() == 0 && user != 0 {
        true => error.hint(OF_ROOT),
        false => error,
    })
}

/// Nobody else can rename a directory on the way to it and put another one in its place.
fn reached_safely(directory: &Path) -> Result<(), Error> {
    let real = directory
        .canonicalize()
        .map_err(|error| failed(&error, directory))?;
    // By its name, whose links somebody may own, and where they lead.
    for path in directory.ancestors().skip(1).chain(real.ancestors().skip(1)) {
        let found = fs::symlink_metadata(path).map_err(|error| failed(&error, path))?;
        if !is_safe(&found) {
            let (owner, mode) = (found.uid(), found.mode() & 0o7777);
            let message = format!(
                "{} has owner {owner} and mode {mode:04o}, so that others can replace {}",
                path.display(),
                directory.display()
            );
            let hint = "it must be root's or this user's, and others may write it only with the sticky bit";
            return Err(Error::new(ErrorKind::Refused, message).hint(hint));
        }
    }
    Ok(())
}

/// Sticky: only the owner of an entry renames or removes it (inode(7)). The mode of a link means nothing.
fn is_safe(found: &Metadata) -> bool {
    let owner = found.uid();
    let trusted = owner == 0 || owner == nix::unistd::geteuid().as_raw();
    trusted && (found.is_symlink() || found.mode() & 0o022 == 0 || found.mode() & 0o1000 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};

    #[test]
    fn each_directory_on_the_way_is_looked_at() {
        let scratch = tempfile::tempdir().unwrap();
        let above = scratch.path().join("above");
        let store = Store::at(&above);
        store.make().unwrap();
        let made = fs::metadata(&store.run).unwrap();
        assert_eq!(made.mode() & 0o777, 0o711);
        for mode in [0o777, 0o775, 0o757, 0o720] {
            set_permissions(&above, Permissions::from_mode(mode)).unwrap();
            let error = store.make().unwrap_err();
            assert!(
                error.message.contains("others can replace"),
                "{mode:o}: {error:?}"
            );
        }
        for mode in [0o1777, 0o755, 0o700] {
            set_permissions(&above, Permissions::from_mode(mode)).unwrap();
            store.make().unwrap();
        }
        chown(&above, Some(12), None).expect("this test needs root to give a directory away");
        assert!(store.make().is_err());
        chown(&above, Some(0), None).unwrap();
        // A link on the way is its owner's to replace, and so is what it leads to.
        let link = scratch.path().join("link");
        symlink(&above, &link).unwrap();
        let by_link = Store::at(&link);
        by_link.make().unwrap();
        lchown(&link, Some(12), None).unwrap();
        assert!(by_link.make().is_err());
        lchown(&link, Some(0), None).unwrap();
        set_permissions(&above, Permissions::from_mode(0o777)).unwrap();
        assert!(by_link.make().is_err());
    }
}
