//! Arguments of `wharf secrets`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `wharf secrets`.
#[derive(Args, Debug)]
pub(crate) struct SecretsArgs {
    /// The encrypted file; the public keys that can read it stand beside it in a file that ends with .recipients
    #[arg(long = "file", short, global = true, default_value = "secrets.age", value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Your private key: an ssh key or an age identity file; may be repeated
    /// [default: ~/.ssh/id_ed25519, ~/.ssh/id_rsa, and what `wharf secrets keygen` made]
    #[arg(long = "identity", short, global = true, env = "WHARF_IDENTITY", value_name = "FILE")]
    pub(crate) identities: Vec<PathBuf>,
    #[command(subcommand)]
    pub(crate) action: SecretsAction,
}

/// What is done about secrets.
#[derive(Subcommand, Debug)]
pub(crate) enum SecretsAction {
    /// Begin: secrets.age and secrets.recipients, for your key and the server's
    #[command(
        after_help = "Examples:\n  wharf secrets init\n  wharf secrets init --recipient ~/.ssh/id_ed25519.pub --no-server"
    )]
    Init {
        /// Public key, or a file with some; may be repeated [default: those of your own keys]
        #[arg(long = "recipient", value_name = "KEY")]
        recipients: Vec<String>,
        /// Don't ask the server for its key; it can't deploy them until its key is added
        #[arg(long)]
        no_server: bool,
    },
    /// List the names; values are not shown
    #[command(after_help = "Example:\n  wharf secrets ls")]
    Ls,
    /// Set a value: asked for on a terminal, else read from standard input
    #[command(
        after_help = "Examples:\n  wharf secrets set DB_PASSWORD\n  openssl rand -base64 24 | wharf secrets set SESSION_KEY\n  \
                      wharf secrets set TLS_KEY --from key.pem\n\n\
                      A value is never given on the command line, where `ps` shows it. The newline at its end is left out."
    )]
    Set {
        /// Name
        #[arg(value_name = "NAME")]
        name: String,
        /// Take the value from this file, as it is
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
    },
    /// Print a value
    #[command(after_help = "Example:\n  wharf secrets get TLS_KEY > key.pem")]
    Get {
        /// Name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Remove values
    #[command(after_help = "Example:\n  wharf secrets rm OLD_KEY")]
    Rm {
        /// Names
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
    },
    /// Edit all of it in $EDITOR; the clear text is only in memory
    #[command(after_help = "Example:\n  EDITOR=nano wharf secrets edit")]
    Edit,
    /// Who can read the file: list, add, remove
    #[command(
        subcommand,
        after_help = "Examples:\n  wharf secrets recipients ls\n  wharf secrets recipients add ~/.ssh/bob.pub"
    )]
    Recipients(RecipientsAction),
    /// Encrypt the file anew, with a new file key, for the present recipients
    #[command(visible_alias = "rotate", after_help = "Example:\n  wharf secrets reencrypt")]
    Reencrypt,
    /// Make an age identity, for those who have no ssh key to use
    #[command(after_help = "Examples:\n  wharf secrets keygen\n  wharf secrets keygen --to ci.key")]
    Keygen {
        /// Where to write it [default: $XDG_CONFIG_HOME/wharf/identity]
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

/// What is done about recipients.
#[derive(Subcommand, Debug)]
pub(crate) enum RecipientsAction {
    /// List the public keys, and whether the file is encrypted for each
    #[command(after_help = "Example:\n  wharf secrets recipients ls")]
    Ls,
    /// Add public keys, and encrypt the file for them too
    #[command(after_help = "Examples:\n  wharf secrets recipients add 'ssh-ed25519 AAAA… bob@laptop'\n  \
                      wharf secrets recipients add bob.pub\n  wharf secrets recipients add --server-key")]
    Add {
        /// Public key (ssh-ed25519, ssh-rsa, age1…), or a file with some
        #[arg(value_name = "KEY", required_unless_present = "server_key")]
        keys: Vec<String>,
        /// The key of the server
        #[arg(long)]
        server_key: bool,
    },
    /// Remove a public key, and encrypt the file anew without it
    #[command(after_help = "Example:\n  wharf secrets recipients rm bob@laptop\n\n\
                      Whoever could read the file has read it, and the repository keeps old versions: change the values too.")]
    Rm {
        /// The key, its comment, or a file with it
        #[arg(value_name = "KEY")]
        key: String,
    },
}
