import { answersAsTheCpu } from '../conformance/support/provider-suite.ts';

// `make gpu` names the library, and where its own libraries are.
answersAsTheCpu({
  provider: 'CUDAExecutionProvider',
  // Sums in another order than the kernels of the CPU; TF32 is off. Chosen, not measured.
  tolerance: 1e-3,
  exactTolerance: 1e-3,
});
