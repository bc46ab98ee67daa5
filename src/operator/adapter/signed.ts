import { type Condition, conditionOf, type Observed } from '../../api/condition.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';
import type { SignatureVerdict } from '../reconcile/signature-verdicts.ts';
import type { ConditionReason, ConditionType } from './reasons.ts';

/** Why an artifact is not signed as it has to be, as the reason of a condition. */
export const signatureReasons = {
  SIGNATURE_MISSING: 'SignatureMissing',
  SIGNATURE_INVALID: 'SignatureInvalid',
  SIGNATURE_UNTRUSTED: 'SignatureUntrusted',
  SIGNATURE_EXPIRED: 'SignatureExpired',
  SIGNATURE_WRONG_SUBJECT: 'SignatureWrongSubject',
  SIGNATURE_WRONG_PREDICATE: 'SignatureWrongPredicate',
  SIGNATURE_FORM: 'SignatureForm',
  SIGNATURE_TOO_MANY: 'SignatureTooMany',
} as const satisfies Partial<Record<ErrorCode, ConditionReason>>;

const isSignatureCode = (code: ErrorCode): code is keyof typeof signatureReasons =>
  Object.hasOwn(signatureReasons, code);

const type = 'SignatureVerified';

/** The condition of its signatures; none where nobody has to have signed it. While a registry is asked, what was found before stays. */
export const signatureVerified = (
  verdict: SignatureVerdict | undefined,
  before: readonly Condition[] | undefined,
): Observed<ConditionType>[] => {
  if (verdict === undefined) return [];
  const { found } = verdict;
  switch (found.kind) {
    case 'Resolved': {
      const message = `signed by ${found.answer.signers.join(' and ')}`;
      return [{ type, status: 'True', reason: 'SignatureVerified', message }];
    }
    case 'Asking': {
      const { status, reason, message } = conditionOf(before, type) ?? {
        status: 'Unknown',
        reason: 'Verifying',
        message: 'its signatures are being verified',
      };
      return [{ type, status, reason, message }];
    }
    case 'Failed': {
      const message = `${found.code}: ${found.message}`;
      return isSignatureCode(found.code)
        ? [{ type, status: 'False', reason: signatureReasons[found.code], message }]
        : [{ type, status: 'Unknown', reason: 'NotVerified', message }];
    }
  }
};

/** Why it cannot serve; undefined: its signatures are no reason, or that is not known. While a registry is asked, what was found before stays. */
export const notSigned = (
  verdict: SignatureVerdict | undefined,
  before: readonly Condition[] | undefined,
): { readonly reason: ConditionReason; readonly message: string } | undefined => {
  if (verdict === undefined || !verdict.isRequired) return undefined;
  const [told] = signatureVerified(verdict, before);
  const reason = Object.values(signatureReasons).find((one) => one === told?.reason);
  return told?.status === 'False' && reason !== undefined ? { reason, message: told.message } : undefined;
};
