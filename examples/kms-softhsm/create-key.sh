#!/bin/sh
# create-key.sh LABEL: makes the two keys a plugin needs under one label, inside the token; neither can ever leave it.
# Environment: PKCS11_MODULE, TOKEN_LABEL, and the user PIN in HSM_PIN.
set -eu
label=$1
tool() {
  pkcs11-tool --module "$PKCS11_MODULE" --token-label "$TOKEN_LABEL" --login --pin env:HSM_PIN "$@"
}
tool --keygen --key-type AES:32 --label "$label" --id "$(printf '%s' "$label" | od -An -tx1 | tr -d ' \n')" --sensitive --private --usage-decrypt
tool --keygen --key-type GENERIC:32 --label "$label-mac" --id "$(printf '%s-mac' "$label" | od -An -tx1 | tr -d ' \n')" --sensitive --private --usage-sign
