declare const __COFFER_VERSION__: string;
declare const __COFFER_COMMIT__: string;

/** Version and commit that the build put in. */
export const build: { readonly version: string; readonly commit: string } = { version: __COFFER_VERSION__, commit: __COFFER_COMMIT__ };
