/** The documents once more, with real images on a containerd: one of them, and all of them with COFFER_SOAK=1. */
import { describe } from 'vitest';

const lessons = ['000', '001', '002', '003'];
const chosen = process.env.COFFER_SOAK === '1' ? lessons : ['002'];
console.log(`documents on containerd: ${chosen.join(', ')} (COFFER_SOAK=1: ${lessons.join(', ')})`);
process.env.COFFER_LESSON_RUNTIME = 'containerd';

const skip = process.platform !== 'linux' || process.getuid?.() !== 0;
if (skip) console.log('skipped: documents on containerd (needs root on Linux)');

for (const lesson of skip ? [] : chosen) describe(`document ${lesson} on containerd`, () => import(`./lesson-${lesson}.test.ts`));
describe.skipIf(!skip)('documents on containerd', () => {});
