import { Piscina } from 'piscina';
import type { Digest } from '../api/names.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { HashResult } from './disk-worker.ts';
import type { ExtractInput, ExtractOutcome } from './extract.ts';
