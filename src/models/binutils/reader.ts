// Tools that only look, or whose command lines are not worth a model: what they read is forced, then they run.
import { bypass, type Model } from '../model.ts';
import { asksVersion, filesAmong } from '../common.ts';

export const readerModel: Model = {
  plan: async (call, context) =>
    bypass(asksVersion(call.args) ? 'asks-version' : 'reader', call.tool, filesAmong(call, context)),
};
