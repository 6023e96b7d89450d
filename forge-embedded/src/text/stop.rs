//! Words that are in every text, and so in no index. Short lists of the commonest words of each language.

use super::analyze::Language;

/// The stop words of a language, in lower case.
pub(super) fn stop_words(language: Language) -> &'static [&'static str] {
    let Language::Known(name) = language else { return &[] };
    match name {
        "english" => ENGLISH,
        "german" => GERMAN,
        "french" => FRENCH,
        "spanish" => SPANISH,
        "italian" => ITALIAN,
        "portuguese" => PORTUGUESE,
        "dutch" => DUTCH,
        "swedish" => SWEDISH,
        "danish" | "norwegian" => DANISH,
        "finnish" => FINNISH,
        "russian" => RUSSIAN,
        "hungarian" => HUNGARIAN,
        "romanian" => ROMANIAN,
        "turkish" => TURKISH,
        _ => &[],
    }
}

macro_rules! words {
    ($($name:ident: $($word:literal)+;)+) => { $(const $name: &[&str] = &[$($word),+];)+ };
}

#[rustfmt::skip]
words! {
    ENGLISH: "a" "about" "above" "after" "again" "against" "all" "am" "an" "and" "any" "are" "aren't" "as" "at" "be"
        "because" "been" "before" "being" "below" "between" "both" "but" "by" "can't" "cannot" "could" "couldn't" "did"
        "didn't" "do" "does" "doesn't" "doing" "don't" "down" "during" "each" "few" "for" "from" "further" "had"
        "hadn't" "has" "hasn't" "have" "haven't" "having" "he" "her" "here" "hers" "herself" "him" "himself" "his"
        "how" "i" "if" "in" "into" "is" "isn't" "it" "it's" "its" "itself" "let's" "me" "more" "most" "my" "myself"
        "no" "nor" "not" "of" "off" "on" "once" "only" "or" "other" "ought" "our" "ours" "ourselves" "out" "over" "own"
        "same" "she" "should" "shouldn't" "so" "some" "such" "than" "that" "that's" "the" "their" "theirs" "them"
        "themselves" "then" "there" "these" "they" "this" "those" "through" "to" "too" "under" "until" "up" "very"
        "was" "wasn't" "we" "were" "weren't" "what" "when" "where" "which" "while" "who" "whom" "why" "with" "won't"
        "would" "wouldn't" "you" "your" "yours" "yourself" "yourselves";
    GERMAN: "aber" "alle" "als" "also" "am" "an" "auch" "auf" "aus" "bei" "bin" "bis" "bist" "da" "damit" "dann" "das"
        "dass" "dein" "dem" "den" "der" "des" "dich" "die" "dies" "diese" "dieser" "dieses" "dir" "doch" "dort" "du"
        "durch" "ein" "eine" "einem" "einen" "einer" "eines" "er" "es" "euch" "für" "hat" "hatte" "haben" "hier" "hin"
        "ich" "ihm" "ihn" "ihr" "im" "in" "ins" "ist" "ja" "kein" "keine" "man" "mein" "mich" "mir" "mit" "nach"
        "nicht" "noch" "nun" "nur" "ob" "oder" "ohne" "sein" "sich" "sie" "sind" "so" "über" "um" "und" "uns" "unter"
        "vom" "von" "vor" "war" "waren" "was" "weil" "wenn" "wer" "wie" "wir" "wird" "wo" "zu" "zum" "zur";
    FRENCH: "à" "au" "aux" "avec" "c" "ce" "ces" "cet" "cette" "d" "dans" "de" "des" "du" "elle" "elles" "en" "est"
        "et" "eux" "il" "ils" "j" "je" "l" "la" "le" "les" "leur" "leurs" "lui" "m" "ma" "mais" "me" "mes" "moi" "mon"
        "n" "ne" "nos" "notre" "nous" "on" "ont" "ou" "où" "par" "pas" "pour" "qu" "que" "qui" "s" "sa" "se" "ses"
        "son" "sont" "sur" "t" "ta" "te" "tes" "toi" "ton" "tu" "un" "une" "vos" "votre" "vous" "y";
    SPANISH: "a" "al" "ante" "como" "con" "de" "del" "desde" "donde" "el" "él" "ella" "ellas" "ellos" "en" "entre" "era"
        "es" "esa" "ese" "eso" "esta" "está" "este" "esto" "ha" "hasta" "hay" "la" "las" "le" "les" "lo" "los" "más"
        "me" "mi" "muy" "ni" "no" "nos" "o" "para" "pero" "por" "que" "qué" "se" "ser" "si" "sí" "sin" "sobre" "son"
        "su" "sus" "también" "te" "tu" "tú" "un" "una" "uno" "unos" "y" "ya" "yo";
    ITALIAN: "a" "ad" "ai" "al" "alla" "alle" "anche" "c" "che" "chi" "ci" "come" "con" "da" "dal" "dalla" "dei" "del"
        "della" "delle" "di" "e" "è" "ed" "era" "gli" "ha" "hanno" "ho" "i" "il" "in" "io" "l" "la" "le" "lei" "li"
        "lo" "loro" "lui" "ma" "mi" "ne" "nei" "nel" "nella" "noi" "non" "o" "per" "più" "quale" "quella" "quello"
        "questa" "questo" "se" "si" "sono" "su" "sua" "sul" "sulla" "suo" "tra" "tu" "un" "una" "uno" "vi" "voi";
    PORTUGUESE: "a" "à" "ao" "aos" "as" "às" "até" "com" "como" "da" "das" "de" "dela" "dele" "do" "dos" "e" "é" "ela"
        "ele" "eles" "em" "entre" "era" "essa" "esse" "esta" "este" "eu" "foi" "há" "isso" "isto" "já" "lhe" "mais"
        "mas" "me" "meu" "minha" "muito" "na" "nas" "não" "nem" "no" "nos" "nós" "num" "numa" "o" "os" "ou" "para"
        "pela" "pelo" "por" "qual" "quando" "que" "quem" "se" "sem" "ser" "seu" "só" "sua" "também" "te" "tem" "um"
        "uma" "você";
    DUTCH: "aan" "al" "als" "bij" "dan" "dat" "de" "der" "deze" "die" "dit" "doch" "doen" "door" "dus" "een" "en" "er"
        "ge" "geen" "haar" "had" "heb" "heeft" "hem" "het" "hier" "hij" "hoe" "hun" "ik" "in" "is" "ja" "je" "kan"
        "maar" "me" "men" "met" "mij" "mijn" "na" "naar" "niet" "nog" "nu" "of" "om" "ons" "ook" "op" "over" "te"
        "tot" "u" "uit" "uw" "van" "voor" "want" "was" "wat" "we" "wel" "werd" "wie" "wij" "wordt" "ze" "zich" "zij"
        "zijn" "zo";
    SWEDISH: "alla" "att" "av" "de" "dem" "den" "denna" "deras" "dess" "det" "detta" "dig" "din" "ditt" "du" "där" "då"
        "efter" "ej" "eller" "en" "er" "ett" "från" "för" "ha" "hade" "han" "hans" "har" "hon" "här" "i" "icke" "inte"
        "jag" "kan" "man" "med" "men" "mig" "min" "mot" "mycket" "ni" "nu" "när" "och" "om" "oss" "på" "sedan" "sig"
        "sin" "ska" "skulle" "som" "så" "till" "under" "upp" "ut" "utan" "vad" "var" "vi" "vid" "vilken" "är" "över";
    DANISH: "ad" "af" "alle" "alt" "at" "av" "blev" "da" "de" "dem" "den" "denne" "der" "deres" "det" "dette" "dig"
        "din" "dog" "du" "efter" "eller" "en" "er" "et" "for" "fra" "ham" "han" "hans" "har" "hun" "hvad" "hvor" "i"
        "ikke" "ikkje" "jeg" "kan" "man" "mange" "med" "meget" "men" "mig" "min" "mod" "ned" "noget" "nu" "når" "og"
        "også" "om" "op" "os" "over" "på" "sig" "sin" "skal" "skulle" "som" "så" "til" "ud" "under" "var" "vi" "vil"
        "være";
    FINNISH: "että" "ei" "he" "hän" "ja" "jo" "jos" "joka" "jotka" "kanssa" "koska" "kuin" "kun" "me" "mikä" "minä"
        "mukaan" "mutta" "myös" "ne" "niin" "nyt" "oli" "olla" "on" "ovat" "se" "sekä" "siitä" "sinä" "tai" "te" "tämä"
        "vaan" "vai" "vain" "voi";
    RUSSIAN: "а" "без" "бы" "был" "была" "были" "было" "быть" "в" "вам" "вас" "во" "вот" "все" "вы" "где" "да" "для" "до"
        "его" "ее" "если" "есть" "еще" "же" "за" "и" "из" "или" "им" "их" "к" "как" "когда" "кто" "ли" "меня" "мне" "мы"
        "на" "над" "не" "нет" "ни" "но" "о" "об" "он" "она" "они" "от" "по" "под" "при" "с" "со" "так" "там" "то" "тот"
        "ты" "у" "уже" "что" "чтобы" "эта" "эти" "это" "я";
    HUNGARIAN: "a" "ahogy" "aki" "ami" "az" "azt" "be" "csak" "de" "e" "egy" "el" "ez" "ezt" "fel" "ha" "hogy" "is"
        "itt" "ki" "le" "már" "meg" "mert" "mi" "mint" "nagy" "nem" "ő" "ön" "ők" "ott" "s" "se" "sem" "te" "ti" "vagy"
        "van" "volt";
    ROMANIAN: "a" "acest" "aceasta" "ai" "al" "ale" "am" "ar" "are" "as" "au" "ca" "care" "ce" "cu" "cum" "da" "dar" "de"
        "din" "după" "ea" "ei" "el" "este" "eu" "fi" "fost" "i" "iar" "în" "la" "lui" "mai" "mi" "ne" "noi" "nu" "o"
        "pe" "pentru" "prin" "sa" "să" "sau" "se" "și" "sunt" "un" "una" "unei" "unui" "va" "voi";
    TURKISH: "acaba" "ama" "ancak" "bana" "bazı" "belki" "ben" "beni" "benim" "bir" "biri" "biz" "bu" "bunu" "çok" "da"
        "daha" "de" "diye" "en" "gibi" "hem" "her" "için" "ile" "ise" "kadar" "ki" "kim" "mı" "mi" "mu" "mü" "ne" "o"
        "olan" "olarak" "onu" "onun" "sen" "siz" "şey" "şu" "ve" "veya" "ya" "yani";
}
