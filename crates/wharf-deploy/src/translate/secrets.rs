//! Secrets of a service: files, and variables whose values hold some. Only names and fingerprints occur here.

use std::collections::BTreeMap;

use wharf_compose::project::FileMount;
use wharf_model::{ContainerSpec, SecretFile, SecretRef, SecretVariable};

use super::service::Input;
use super::{Model, TranslateError};

/// Permission bits of a file for which the user gives none: Compose's.
const MODE: u32 = 0o444;

/// Adds the files, and takes the variables that hold secrets out of the plain environment.
pub(super) fn add(
    input: &Input<'_>,
    spec: &mut ContainerSpec,
    model: &mut Model,
) -> Result<(), TranslateError> {
    spec.secrets = input.service.secrets.iter().map(|mount| file(input, mount)).collect::<Result<_, _>>()?;
    let (secret, plain): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut spec.environment)
        .into_iter()
        .partition(|(_, value)| !SecretVariable::names(value).is_empty());
    spec.environment = plain;
    for (variable, template) in secret {
        let place = format!("environment.{variable}");
        let mut secrets: Vec<SecretRef> = Vec::new();
        for name in SecretVariable::names(&template) {
            let reference = reference(input, &place, name)?;
            if !secrets.contains(&reference) {
                secrets.push(reference);
            }
        }
        model.warnings.push(format!(
            "{}: `docker inspect` on its hosts shows the secrets in the variable {variable} \
             (as a file under `secrets:` nobody sees them)",
            input.key
        ));
        spec.secret_environment.insert(variable, SecretVariable { template, secrets });
    }
    Ok(())
}

fn file(input: &Input<'_>, mount: &FileMount) -> Result<SecretFile, TranslateError> {
    Ok(SecretFile {
        secret: reference(input, "secrets", &mount.source)?,
        target: mount.target.clone(),
        uid: id(input, "uid", mount.uid.as_deref())?,
        gid: id(input, "gid", mount.gid.as_deref())?,
        mode: mount.mode.unwrap_or(MODE),
    })
}

fn reference(input: &Input<'_>, place: &str, name: &str) -> Result<SecretRef, TranslateError> {
    input.secrets.get(name).cloned().ok_or_else(|| {
        let message = format!("there is no value for the secret `{name}`");
        TranslateError::new(input.place(place), message, "`wharf secrets set` puts it into secrets.age")
    })
}

fn id(input: &Input<'_>, key: &str, text: Option<&str>) -> Result<Option<u32>, TranslateError> {
    let Some(text) = text else { return Ok(None) };
    let number = text.parse().map_err(|_| {
        let message = format!("{key} `{}` is no number", text.chars().take(40).collect::<String>());
        let hint =
            "give the number of the user in the container, such as 1000; names are not known on the host";
        TranslateError::new(input.place("secrets"), message, hint)
    });
    number.map(Some)
}
