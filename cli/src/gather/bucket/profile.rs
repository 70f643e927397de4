//! Profiles of AWS: `~/.aws/credentials` and `~/.aws/config`.

use std::collections::HashMap;

/// What a profile says, by the names of its keys.
pub(super) type Profile = HashMap<String, String>;

/// The section `[name]` or, as `config` has it, `[profile name]`.
pub(super) fn find(text: &str, name: &str) -> Option<Profile> {
    let mut found: Option<Profile> = None;
    let mut inside = false;
    for line in text.lines() {
        let line = line.trim();
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            let section = section.trim();
            inside = section.strip_prefix("profile ").unwrap_or(section).trim() == name;
            if inside {
                found.get_or_insert_default();
            }
        } else if inside
            && !line.starts_with(['#', ';'])
            && let Some((key, value)) = line.split_once('=')
            && let Some(profile) = &mut found
        {
            profile.insert(key.trim().to_lowercase(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_found_in_either_file() {
        let text = "[default]\naws_access_key_id=A\n# no = thing\n\n[profile dev]\n region = eu-west-1 \n\
                    aws_secret_access_key = a/b=c\n[other]\nregion=x\n";
        assert_eq!(find(text, "default").unwrap().get("aws_access_key_id").unwrap(), "A");
        assert_eq!(find(text, "default").unwrap().len(), 1);
        let dev = find(text, "dev").unwrap();
        assert_eq!(dev.get("region").unwrap(), "eu-west-1");
        assert_eq!(dev.get("aws_secret_access_key").unwrap(), "a/b=c");
        assert_eq!(find(text, "missing"), None);
    }
}
