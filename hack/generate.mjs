#!/usr/bin/env node
// Runs every generator of packages/api/generated. Needs only the installed dev dependencies.
import './generate-types.mjs';
import './generate-schema.mjs';
