//! The shell's command line.

/// Where commands come from.
#[derive(Debug, PartialEq, Eq)]
pub enum Source {
    Command(String),
    Script(String),
    Stdin,
}

/// What the command line asks for.
#[derive(Debug)]
pub struct Options {
    pub source: Source,
    /// `$0`
    pub name: String,
    /// `$1` and on
    pub args: Vec<String>,
    pub enabled: Vec<String>,
    pub disabled: Vec<String>,
    pub shopt_enabled: Vec<String>,
    pub shopt_disabled: Vec<String>,
    pub interactive: bool,
    pub login: bool,
    pub no_profile: bool,
    pub posix: bool,
}

/// Why the shell does not start.
#[derive(Debug)]
pub enum Stop {
    Help,
    Version,
    Wrong(String),
}

pub const BRUSH_VERSION: &str = "0.5.0";

pub const HELP: &str = "\
usage: sh [options] [script [argument ...]]
       sh [options] -c command [name [argument ...]]
       sh [options] -s [argument ...]

  -c              run the command string
  -s              read commands from standard input
  -i              interactive
  -l, --login     login shell: reads /etc/profile and ~/.profile
      --noprofile login shell without those files
      --posix     POSIX mode
  -e -u -x -f -n -v -a -C -m ...   as `set` has them; + switches off
  -o NAME, +o NAME                 as `set -o` and `set +o`
  -O NAME, +O NAME                 as `shopt -s` and `shopt -u`
      --help, --version

examples:
  sh -c 'ls | wc -l'
  sh -eu build.sh release
";

/// The long name of `set`'s one-letter option.
fn option_name(letter: char) -> Option<&'static str> {
    Some(match letter {
        'a' => "allexport",
        'b' => "notify",
        'B' => "braceexpand",
        'C' => "noclobber",
        'e' => "errexit",
        'E' => "errtrace",
        'f' => "noglob",
        'h' => "hashall",
        'H' => "histexpand",
        'k' => "keyword",
        'm' => "monitor",
        'n' => "noexec",
        'P' => "physical",
        't' => "onecmd",
        'T' => "functrace",
        'u' => "nounset",
        'v' => "verbose",
        'x' => "xtrace",
        _ => return None,
    })
}

/// Parses the whole command line, program name first.
pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, Stop> {
    let name = args.next().unwrap_or_else(|| "sh".to_owned());
    let mut options = Options {
        source: Source::Stdin,
        login: name.starts_with('-'),
        name,
        args: Vec::new(),
        enabled: Vec::new(),
        disabled: Vec::new(),
        shopt_enabled: Vec::new(),
        shopt_disabled: Vec::new(),
        interactive: false,
        no_profile: false,
        posix: false,
    };
    let (mut command, mut stdin) = (false, false);
    let mut args = args.peekable();
    while let Some(arg) = args.next_if(|arg| arg.len() > 1 && arg.starts_with(['-', '+'])) {
        match arg.as_str() {
            "--" => break,
            "--help" => return Err(Stop::Help),
            "--version" => return Err(Stop::Version),
            "--login" => options.login = true,
            "--noprofile" => options.no_profile = true,
            "--norc" | "--noediting" => {}
            "--posix" => options.posix = true,
            long if long.starts_with("--") => return Err(Stop::Wrong(format!("{long}: no such option; try --help"))),
            short => {
                let on = short.starts_with('-');
                for letter in short.chars().skip(1) {
                    match letter {
                        'c' if on => command = true,
                        's' if on => stdin = true,
                        'i' => options.interactive = on,
                        'l' => options.login = on,
                        'o' | 'O' => {
                            let value = args
                                .next()
                                .ok_or_else(|| Stop::Wrong(format!("{short}: an option's name must follow")))?;
                            match (letter, on) {
                                ('o', true) => options.enabled.push(value),
                                ('o', false) => options.disabled.push(value),
                                (_, true) => options.shopt_enabled.push(value),
                                (_, false) => options.shopt_disabled.push(value),
                            }
                        }
                        letter => {
                            let name = option_name(letter)
                                .ok_or_else(|| Stop::Wrong(format!("-{letter}: no such option; try --help")))?;
                            if on { &mut options.enabled } else { &mut options.disabled }.push(name.to_owned());
                        }
                    }
                }
            }
        }
    }
    if command {
        let text = args.next().ok_or_else(|| Stop::Wrong("-c: a command must follow".to_owned()))?;
        options.source = Source::Command(text);
        if let Some(name) = args.next() {
            options.name = name;
        }
    } else if !stdin {
        if let Some(script) = args.next() {
            options.source = Source::Script(script);
        }
    }
    options.args = args.collect();
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Options {
        parse(line.split(' ').map(str::to_owned)).unwrap()
    }

    #[test]
    fn sources() {
        assert_eq!(parsed("sh").source, Source::Stdin);
        assert_eq!(parsed("sh -s a").source, Source::Stdin);
        let options = parsed("sh -ec true name a b");
        assert_eq!(options.source, Source::Command("true".to_owned()));
        assert_eq!((options.name.as_str(), options.args.len()), ("name", 2));
        assert_eq!(options.enabled, ["errexit"]);
        let options = parsed("sh +x -o pipefail script -c");
        assert_eq!(options.source, Source::Script("script".to_owned()));
        assert_eq!((options.enabled, options.disabled), (vec!["pipefail".to_owned()], vec!["xtrace".to_owned()]));
        assert_eq!(options.args, ["-c"]);
    }

    #[test]
    fn wrong_lines() {
        for line in ["sh -c", "sh -o", "sh -Z", "sh --wat"] {
            assert!(matches!(parse(line.split(' ').map(str::to_owned)), Err(Stop::Wrong(_))), "{line}");
        }
        assert!(parsed("-sh").login);
    }
}
