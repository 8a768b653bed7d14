// Names that headers commonly ask __has_attribute and its like about: asked in one go with the macros, so that few
// questions are left. Any other name is asked when it turns up.

const ATTRIBUTES =
  'access alias alloc_align alloc_size always_inline artificial assume_aligned cold const constructor copy deprecated ' +
  'destructor disable_tail_calls enable_if error fallthrough flatten format format_arg gnu_inline hot ifunc ' +
  'indirect_return leaf malloc may_alias minsize mode no_address_safety_analysis no_instrument_function ' +
  'no_profile_instrument_function no_reorder no_sanitize no_sanitize_address no_sanitize_thread no_stack_protector ' +
  'no_unique_address nodebug noinline nonnull nonstring noreturn nothrow optimize packed pure ' +
  'require_constant_initialization returns_nonnull section sentinel symver target tls_model transparent_union ' +
  'trivial_abi unavailable unused used visibility warn_unused_result warning weak';

const STANDARD_ATTRIBUTES =
  'assert assume carries_dependency clang::fallthrough clang::lifetimebound deprecated ensures expects fallthrough ' +
  'gnu::always_inline gnu::cold gnu::const gnu::fallthrough gnu::hot gnu::malloc gnu::noinline gnu::pure ' +
  'gnu::returns_nonnull gnu::unused gnu::used gnu::visibility likely maybe_unused msvc::no_unique_address ' +
  'no_unique_address nodiscard noreturn unlikely __no_unique_address__';

const BUILTINS =
  '__builtin_FILE __builtin_FUNCTION __builtin_LINE __builtin_add_overflow __builtin_addressof __builtin_alloca ' +
  '__builtin_assume __builtin_assume_aligned __builtin_bit_cast __builtin_bitreverse8 __builtin_bitreverse16 ' +
  '__builtin_bitreverse32 __builtin_bitreverse64 __builtin_bswap16 __builtin_bswap32 __builtin_bswap64 ' +
  '__builtin_bswap128 __builtin_choose_expr __builtin_clz __builtin_clzl __builtin_clzll __builtin_constant_p ' +
  '__builtin_convertvector __builtin_ctz __builtin_ctzl __builtin_ctzll __builtin_debugtrap ' +
  '__builtin_dynamic_object_size __builtin_expect __builtin_expect_with_probability __builtin_ffs ' +
  '__builtin_frame_address __builtin_is_constant_evaluated __builtin_is_corresponding_member ' +
  '__builtin_is_pointer_interconvertible_with_class __builtin_isinf __builtin_isnan __builtin_launder ' +
  '__builtin_memcpy_inline __builtin_mul_overflow __builtin_nan __builtin_object_size __builtin_operator_delete ' +
  '__builtin_operator_new __builtin_parity __builtin_popcount __builtin_popcountl __builtin_popcountll ' +
  '__builtin_prefetch __builtin_return_address __builtin_rotateleft32 __builtin_rotateleft64 ' +
  '__builtin_sadd_overflow __builtin_shuffle __builtin_shufflevector __builtin_smul_overflow ' +
  '__builtin_source_location __builtin_sprintf __builtin_ssub_overflow __builtin_strlen __builtin_sub_overflow ' +
  '__builtin_trap __builtin_types_compatible_p __builtin_uadd_overflow __builtin_umul_overflow ' +
  '__builtin_unreachable __builtin_usub_overflow __has_unique_object_representations __is_aggregate __is_assignable ' +
  '__is_constructible __is_convertible __is_final __is_identifier __is_layout_compatible __is_nothrow_constructible ' +
  '__is_pointer_interconvertible_base_of __is_same __is_same_as __is_trivially_assignable ' +
  '__is_trivially_constructible __is_trivially_copyable __is_trivially_destructible __make_integer_seq ' +
  '__reference_binds_to_temporary __sync_synchronize __type_pack_element __underlying_type';

function questions(kind: string, names: readonly string[]): string[] {
  return names.map((name) => `${kind} ${name}`);
}

const attributes = ATTRIBUTES.split(' ').flatMap((name) => [name, `__${name}__`]);

/** Questions in the form of `Config.answers`. */
export const SEEDS: readonly string[] = [
  ...questions('__has_attribute', attributes),
  ...questions('__has_cpp_attribute', STANDARD_ATTRIBUTES.split(' ')),
  ...questions('__has_c_attribute', STANDARD_ATTRIBUTES.split(' ')),
  ...questions('__has_builtin', BUILTINS.split(' ')),
];
