//! Links of documents that are shipped elsewhere than they lie in the repository.
//!
//! Lives here: finding them in Markdown, and leading them anew. Not here: what is shipped, and
//! where to.

use std::path::{Component, Path, PathBuf};

use crate::shell::root;

/// The text of a document with its links as they must be where it is shipped to.
///
/// `moved` is its path in the repository and in the tree; `place` says where a file or folder of
/// the repository goes. A link to one that is not shipped leaves its words alone. What leads to no
/// file of the repository stays as it is.
pub(super) fn led_anew(
    text: &str,
    moved: (&Path, &Path),
    place: impl Fn(&Path) -> Option<PathBuf>,
) -> String {
    let (from, to) = moved;
    let mut made = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("](") {
        let Some((target, after)) = behind.split_once(')') else { break };
        rest = after;
        let (path, anchor) = target.split_at(target.find('#').unwrap_or(target.len()));
        let asked = resolved(from, path);
        if path.is_empty() || path.contains("://") || !root().join(&asked).exists() {
            made.push_str(&format!("{before}]({target})"));
        } else if let Some(there) = place(&asked) {
            made.push_str(&format!("{before}]({}{anchor})", way(to, &there).display()));
        } else {
            let (before, words) = before.rsplit_once('[').unwrap_or((before, ""));
            made.extend([before, words]);
        }
    }
    made + rest
}

/// What a document's relative link leads to, without `..`.
fn resolved(document: &Path, target: &str) -> PathBuf {
    let mut path = document.parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::Normal(name) => path.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    path
}

/// The relative link that leads from a document to a path of the same tree.
fn way(document: &Path, there: &Path) -> PathBuf {
    let folder = document.parent().unwrap_or(Path::new(""));
    let shared =
        folder.components().zip(there.components()).take_while(|(one, other)| one == other);
    let shared = shared.count();
    let up = folder.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(there.components().skip(shared)).collect()
}
