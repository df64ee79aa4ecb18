//! What the VM may do: one place decides, and a passed check is a value that only this module can make.
//!
//! Outside the VM everything is denied already, because nothing is mounted or connected that the embedder did not grant. Policy narrows what guests do inside: rules
//! by path for files, and for starting programs. The last rule that matches wins; without a match the answer is to allow. Operations on
//! the tree demand an [`Allowed`], so forgetting the check does not compile.

pub mod network;

use crate::Errno;

/// What a rule or a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Looking at files and directories.
    Read,
    /// Changing them.
    Write,
    /// Starting a program.
    Execute,
}

/// Whether a rule allows or denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It may be done.
    Allow,
    /// It fails with `EACCES`.
    Deny,
}

/// One rule: an action on a path and everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    action: Action,
    prefix: String,
    verdict: Verdict,
}

impl Rule {
    /// A rule for `action` on the absolute path `prefix` and everything below it.
    pub fn new(verdict: Verdict, action: Action, prefix: impl Into<String>) -> Self {
        let mut prefix = prefix.into();
        while prefix.len() > 1 && prefix.ends_with('/') {
            prefix.pop();
        }
        Self { action, prefix, verdict }
    }

    fn matches(&self, action: Action, path: &str) -> bool {
        self.action == action
            && (self.prefix == "/"
                || path.strip_prefix(self.prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }
}

/// The rules of a VM.
///
/// ```
/// use eyot_kernel::policy::{Action, Policy, Rule, Verdict};
/// let policy = Policy::new(vec![
///     Rule::new(Verdict::Deny, Action::Write, "/etc"),
///     Rule::new(Verdict::Allow, Action::Write, "/etc/app"),
/// ]);
/// assert!(policy.check(Action::Write, || "/etc/passwd".into()).is_err());
/// assert!(policy.check(Action::Write, || "/etc/app/config".into()).is_ok());
/// assert!(policy.check(Action::Read, || "/etc/passwd".into()).is_ok());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Policy {
    rules: Vec<Rule>,
}

/// The proof that a check was passed.
#[derive(Clone, Copy, Debug)]
pub struct Allowed(());

impl Policy {
    /// A policy of these rules, in order.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules }
    }

    /// Checks one action on the path that `path` makes; it is made only when there are rules.
    /// Errors: `EACCES`.
    pub fn check(&self, action: Action, path: impl FnOnce() -> String) -> Result<Allowed, Errno> {
        if self.rules.is_empty() {
            return Ok(Allowed(()));
        }
        let path = path();
        match self.rules.iter().rev().find(|rule| rule.matches(action, &path)) {
            Some(rule) if rule.verdict == Verdict::Deny => {
                tracing::info!(?action, path, "denied by policy");
                Err(Errno::Acces)
            }
            _ => Ok(Allowed(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(policy: &Policy, action: Action, path: &str) -> bool {
        policy.check(action, || path.to_owned()).is_err()
    }

    #[test]
    fn the_last_matching_rule_wins() {
        let policy = Policy::new(vec![
            Rule::new(Verdict::Deny, Action::Read, "/"),
            Rule::new(Verdict::Allow, Action::Read, "/home/"),
            Rule::new(Verdict::Deny, Action::Read, "/home/user/.ssh"),
        ]);
        assert!(denied(&policy, Action::Read, "/etc/passwd"));
        assert!(!denied(&policy, Action::Read, "/home"));
        assert!(!denied(&policy, Action::Read, "/home/user"));
        assert!(denied(&policy, Action::Read, "/home/user/.ssh/id"));
        assert!(!denied(&policy, Action::Read, "/home/user/.sshd"), "a prefix ends at a slash");
        assert!(!denied(&policy, Action::Write, "/etc/passwd"), "other actions are not touched");
    }
}
