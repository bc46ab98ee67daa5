import { afterAll } from 'vitest';
import { removeFoldersOfFile } from './temporary-folder.ts';

// Vitest runs this module ahead of each file, and the hooks behind tests in the reverse order: this one is the last.
afterAll(removeFoldersOfFile);
