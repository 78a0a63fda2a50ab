import { describeBackend, describeLocalBackend } from './backend-contract.ts';
import { openMemoryBackend } from './memory.ts';

const open = async () => {
  const backend = openMemoryBackend();
  return { backend, dispose: () => backend.close() };
};

describeBackend('memory', open);
describeLocalBackend('memory', open);
